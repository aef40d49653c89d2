import { useSignal } from '@preact/signals';
import { useResource } from '../api/resource.ts';
import type { Total } from '../api/shape.ts';
import { bytesText, countText } from '../model/units.ts';
import { Empty, Loaded } from '../ui/loaded.tsx';
import { Segments } from '../ui/panel.tsx';
import { linkToRows } from '../ui/place.ts';

const READ_MS = 5_000;

type By = 'client' | 'user' | 'host' | 'route';
type Span = 'hour' | 'day';

/** Traffic of the last hour or day, per client, user, host or route. */
export function Totals() {
  const by = useSignal<By>('client');
  const span = useSignal<Span>('hour');
  const totals = useResource<{ totals: readonly Total[] }>(`totals?by=${by.value}&window=${span.value}`, READ_MS);
  return (
    <>
      <div class="toolbar">
        <Segments
          label="Per"
          options={[
            ['client', 'Client'],
            ['user', 'User'],
            ['host', 'Host'],
            ['route', 'Route'],
          ]}
          value={by.value}
          onChoose={(value) => {
            by.value = value;
          }}
        />
        <Segments
          label="Window"
          options={[
            ['hour', 'Last hour'],
            ['day', 'Last day'],
          ]}
          value={span.value}
          onChoose={(value) => {
            span.value = value;
          }}
        />
      </div>
      <Loaded of={totals} what="The totals">
        {({ totals: all }) =>
          all.length === 0 ? <Empty>Nothing was counted in that time.</Empty> : <Table totals={all} by={by.value} />
        }
      </Loaded>
    </>
  );
}

function Table({ totals, by }: { readonly totals: readonly Total[]; readonly by: By }) {
  const sorted = [...totals].sort((a, b) => bytesOf(b) - bytesOf(a));
  const most = Math.max(1, ...sorted.map(bytesOf));
  return (
    <section class="panel" aria-label="Totals">
      <table class="plain">
        <thead>
          <tr>
            <th scope="col">{by}</th>
            <th scope="col" class="number">
              Requests
            </th>
            <th scope="col" class="number">
              Failed
            </th>
            <th scope="col" class="number">
              ↑
            </th>
            <th scope="col" class="number">
              ↓
            </th>
          </tr>
        </thead>
        <tbody>
          {sorted.map((one) => (
            <tr key={one.key ?? ''}>
              <th scope="row">
                {one.key === undefined ? '(all others)' : <a href={linkToRows(one.key, 'all')}>{one.key}</a>}
                <div class="track">
                  <div class="fill" style={{ width: `${(100 * bytesOf(one)) / most}%` }} />
                </div>
              </th>
              <td class="number">{countText(one.requests)}</td>
              <td class={`number ${one.failures > 0 ? 'bad' : 'muted'}`}>{countText(one.failures)}</td>
              <td class="number">{bytesText(one.bytesUp)}</td>
              <td class="number">{bytesText(one.bytesDown)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

const bytesOf = ({ bytesUp, bytesDown }: Total): number => bytesUp + bytesDown;
