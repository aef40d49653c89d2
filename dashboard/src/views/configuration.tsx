import { useSignal } from '@preact/signals';
import { useResource } from '../api/resource.ts';
import type { Setting } from '../api/shape.ts';
import { Empty, Loaded } from '../ui/loaded.tsx';

const READ_MS = 10_000;

/** Every setting that is in force, and where its value came from; as `viaduct check` prints it. */
export function Configuration() {
  const config = useResource<{ settings: readonly Setting[] }>('config', READ_MS);
  const text = useSignal('');
  return (
    <>
      <div class="toolbar">
        <input
          type="search"
          placeholder="Filter: a setting, a value, an origin"
          aria-label="Filter"
          value={text.value}
          onInput={(event) => {
            text.value = event.currentTarget.value;
          }}
        />
      </div>
      <Loaded of={config} what="The configuration">
        {({ settings }) => {
          const wanted = text.value.toLowerCase();
          const chosen = settings.filter((one) =>
            `${one.path}\n${valueText(one.value)}\n${one.origin}`.toLowerCase().includes(wanted),
          );
          return chosen.length === 0 ? (
            <Empty>No setting matches.</Empty>
          ) : (
            <section class="panel" aria-label="Configuration">
              <table class="plain">
                <thead>
                  <tr>
                    <th scope="col">Setting</th>
                    <th scope="col">Value</th>
                    <th scope="col">Origin</th>
                  </tr>
                </thead>
                <tbody>
                  {chosen.map((one) => (
                    <tr key={one.path}>
                      <th scope="row">
                        <code>{one.path}</code>
                      </th>
                      <td>
                        <code>{valueText(one.value)}</code>
                      </td>
                      <td class="muted">{one.origin}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </section>
          );
        }}
      </Loaded>
    </>
  );
}

const valueText = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
