import { useSignal } from '@preact/signals';
import { ApiError, request } from '../api/request.ts';
import { Empty } from '../ui/loaded.tsx';
import { Panel } from '../ui/panel.tsx';

type Outcome =
  | { readonly at: 'nothing' }
  | { readonly at: 'asking' }
  | { readonly at: 'found'; readonly report: unknown }
  | { readonly at: 'failed'; readonly message: string };

/** What would be decided about a URL, and why, without sending it. */
export function Why() {
  const url = useSignal('');
  const outcome = useSignal<Outcome>({ at: 'nothing' });
  const ask = async (event: Event) => {
    event.preventDefault();
    outcome.value = { at: 'asking' };
    try {
      outcome.value = { at: 'found', report: await request('GET', `why?url=${encodeURIComponent(url.value)}`) };
    } catch (error) {
      const isAbsent = error instanceof ApiError && error.status === 404;
      const message = error instanceof Error ? error.message : String(error);
      outcome.value = { at: 'failed', message: isAbsent ? 'This proxy does not offer it.' : message };
    }
  };
  return (
    <>
      <form class="form-row" onSubmit={(event) => void ask(event)}>
        <label class="field grow">
          <span class="muted">
            Which rule, route and limit would a request for this URL meet? Nothing is sent to it.
          </span>
          <input
            name="url"
            placeholder="https://example.com/"
            value={url.value}
            required
            autocomplete="off"
            spellcheck={false}
            onInput={(event) => {
              url.value = event.currentTarget.value;
            }}
          />
        </label>
        <button type="submit" class="primary">
          Ask
        </button>
      </form>
      <Report outcome={outcome.value} />
    </>
  );
}

function Report({ outcome }: { readonly outcome: Outcome }) {
  switch (outcome.at) {
    case 'nothing':
      return null;
    case 'asking':
      return <Empty>Deciding…</Empty>;
    case 'failed':
      return <p class="banner bad">{outcome.message}</p>;
    case 'found':
      return (
        <Panel title="What would happen">
          <Outline value={outcome.report} />
        </Panel>
      );
  }
}

/** Any JSON as an outline of names and values. */
function Outline({ value }: { readonly value: unknown }) {
  if (value === null || typeof value !== 'object') return <>{String(value)}</>;
  const entries = Object.entries(value).filter(([, part]) => part !== undefined);
  if (entries.length === 0) return <span class="muted">none</span>;
  const isList = Array.isArray(value);
  return (
    <dl class="facts">
      {entries.map(([name, part]) => (
        <div key={name}>
          <dt>{isList ? `${Number(name) + 1}.` : name}</dt>
          <dd>
            <Outline value={part} />
          </dd>
        </div>
      ))}
    </dl>
  );
}
