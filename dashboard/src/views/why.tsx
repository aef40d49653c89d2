import { request } from '../api/request.ts';
import { Panel } from '../ui/panel.tsx';
import { UrlQuestion } from '../ui/url-question.tsx';

/** What would be decided about a URL, and why, without sending it. */
export function Why() {
  return (
    <UrlQuestion
      label="Which rule, route and limit would a request for this URL meet? Nothing is sent to it."
      submit="Ask"
      asking="Deciding…"
      ask={(url) => request<unknown>('GET', `why?url=${encodeURIComponent(url)}`)}
    >
      {(report) => (
        <Panel title="What would happen">
          <Outline value={report} />
        </Panel>
      )}
    </UrlQuestion>
  );
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
