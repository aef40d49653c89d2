import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { ApiError } from '../api/request.ts';
import { Empty } from './loaded.tsx';

type Outcome<T> =
  | { readonly at: 'nothing' }
  | { readonly at: 'asking' }
  | { readonly at: 'found'; readonly answer: T }
  | { readonly at: 'failed'; readonly message: string };

export interface UrlQuestionProps<T> {
  /** What is asked about the URL. */
  readonly label: string;
  readonly submit: string;
  /** Shown until the answer has come. */
  readonly asking: string;
  readonly initialUrl?: string;
  readonly ask: (url: string) => Promise<T>;
  /** More buttons, once there is an answer. */
  readonly actions?: (answer: T) => ComponentChildren;
  readonly children: (answer: T) => ComponentChildren;
}

/** A form for one question about a URL, and what the proxy answers. */
export function UrlQuestion<T>({
  label,
  submit,
  asking,
  initialUrl = '',
  ask,
  actions,
  children,
}: UrlQuestionProps<T>) {
  const url = useSignal(initialUrl);
  const outcome = useSignal<Outcome<T>>({ at: 'nothing' });
  const send = async (event: Event) => {
    event.preventDefault();
    outcome.value = { at: 'asking' };
    try {
      outcome.value = { at: 'found', answer: await ask(url.value) };
    } catch (error) {
      outcome.value = { at: 'failed', message: messageOf(error) };
    }
  };
  const { value } = outcome;
  return (
    <>
      <form class="form-row" onSubmit={(event) => void send(event)}>
        <label class="field grow">
          <span class="muted">{label}</span>
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
        <button type="submit" class="primary" disabled={value.at === 'asking'}>
          {submit}
        </button>
        {value.at === 'found' && actions?.(value.answer)}
      </form>
      {value.at === 'asking' && <Empty>{asking}</Empty>}
      {value.at === 'failed' && <p class="banner bad">{value.message}</p>}
      {value.at === 'found' && children(value.answer)}
    </>
  );
}

function messageOf(error: unknown): string {
  if (error instanceof ApiError && error.status === 404) return 'This proxy does not offer it.';
  return error instanceof Error ? error.message : String(error);
}
