import { useEffect, useRef } from 'preact/hooks';
import { request } from '../api/request.ts';
import { saveFile } from '../ui/handing-over.ts';
import { place } from '../ui/place.ts';
import { UrlQuestion } from '../ui/url-question.tsx';

/** One request, made now, and what was said on every hop: the page of `viaduct explain URL --html`. */
export function Explain() {
  return (
    <UrlQuestion
      label="Makes one request for this URL and shows each message on every hop. Secrets are masked."
      submit="Explain"
      asking="Making the request…"
      initialUrl={place.value.query.get('url') ?? ''}
      ask={(url) => request<{ page: string }>('POST', 'explain', { url })}
      actions={({ page }) => (
        <button type="button" onClick={() => saveFile('explained.html', 'text/html', page)}>
          Save the page
        </button>
      )}
    >
      {({ page }) => <Page source={page} />}
    </UrlQuestion>
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
