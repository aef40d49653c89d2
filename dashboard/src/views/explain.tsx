import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { request } from '../api/request.ts';
import { saveFile } from '../ui/handing-over.ts';
import { Empty } from '../ui/loaded.tsx';
import { place } from '../ui/place.ts';

type Outcome =
  | { readonly at: 'nothing' }
  | { readonly at: 'asking' }
  | { readonly at: 'found'; readonly page: string }
  | { readonly at: 'failed'; readonly message: string };

/** One request, made now, and what was said on every hop: the page of `viaduct explain URL --html`. */
export function Explain() {
  const url = useSignal(place.value.query.get('url') ?? '');
  const outcome = useSignal<Outcome>({ at: 'nothing' });
  const ask = async (event: Event) => {
    event.preventDefault();
    outcome.value = { at: 'asking' };
    try {
      const { page } = await request<{ page: string }>('POST', 'explain', { url: url.value });
      outcome.value = { at: 'found', page };
    } catch (error) {
      outcome.value = { at: 'failed', message: error instanceof Error ? error.message : String(error) };
    }
  };
  const { value } = outcome;
  return (
    <>
      <form class="form-row" onSubmit={(event) => void ask(event)}>
        <label class="field grow">
          <span class="muted">
            Makes one request for this URL and shows each message on every hop. Secrets are masked.
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
        <button type="submit" class="primary" disabled={value.at === 'asking'}>
          Explain
        </button>
        {value.at === 'found' && (
          <button type="button" onClick={() => saveFile('explained.html', 'text/html', value.page)}>
            Save the page
          </button>
        )}
      </form>
      {value.at === 'asking' && <Empty>Making the request…</Empty>}
      {value.at === 'failed' && <p class="banner bad">{value.message}</p>}
      {value.at === 'found' && <Page source={value.page} />}
    </>
  );
}

/**
 * The page in a tree of its own, so that its style and ours do not meet. A parser of documents runs no script and loads
 * nothing, and the policy of this page holds for what is taken from there.
 */
function Page({ source }: { readonly source: string }) {
  const host = useRef<HTMLElement>(null);
  useEffect(() => {
    if (host.current === null) return;
    const root = host.current.shadowRoot ?? host.current.attachShadow({ mode: 'open' });
    // Not by the parser: the policy of this page refuses a style in a document, and reports it.
    const [element = '', style = ''] = /<style>(.*?)<\/style>/s.exec(source) ?? [];
    const page = new DOMParser().parseFromString(source.replace(element, ''), 'text/html');
    const sheet = new CSSStyleSheet();
    // There is neither a root element nor a body in a tree of this kind.
    sheet.replaceSync(style.replaceAll(':root', ':host').replace(/^body \{/m, '.page {'));
    root.adoptedStyleSheets = [sheet];
    const body = document.createElement('div');
    body.className = 'page';
    body.append(...page.body.childNodes);
    // Its parts are no landmarks of this page, and its heading is below ours.
    for (const part of body.querySelectorAll('main, header')) part.replaceWith(...part.childNodes);
    root.replaceChildren(body);
  }, [source]);
  return <section ref={host} aria-label="The request, explained" class="panel" />;
}
