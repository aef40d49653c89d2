import { useSignal } from '@preact/signals';
import { request } from '../api/request.ts';
import type { Mode } from '../api/shape.ts';
import { MODE_TEXT } from '../model/mode.ts';
import { counters, proxyNowMs, readStatus, status } from '../model/state.ts';
import { countText, durationText } from '../model/units.ts';
import { confirmAction } from '../ui/dialog.tsx';
import { Empty } from '../ui/loaded.tsx';
import { attempt, notify } from '../ui/notice.tsx';
import { Facts, Panel, Segments } from '../ui/panel.tsx';

const MODES = [
  ['configured', 'As configured'],
  ['pac', 'PAC'],
  ['direct', 'Direct'],
  ['proxy', 'Proxies'],
] as const satisfies readonly (readonly [Mode, string])[];
const SPANS = [
  [15, '15 minutes'],
  [60, '1 hour'],
  [240, '4 hours'],
  [0, 'until a reload or restart'],
] as const;

/** What this process is, and what can be done to it as a whole. */
export function Control() {
  const now = status.value;
  if (now === undefined) return <Empty>Waiting for the proxy…</Empty>;
  return (
    <div class="panels">
      <Panel title="This proxy">
        <Facts
          of={[
            ['Version', `${now.name} ${now.version}`],
            ['Process', `${now.pid}, ${now.workers === 1 ? '1 worker' : `${now.workers} workers`}`],
            ['Running for', durationText(proxyNowMs.value - Date.parse(now.startedAt))],
            ['Listeners', now.listeners.map((one) => <div key={one}>{one}</div>)],
            ['Relay', now.relay],
            ['Routes', now.mode && MODE_TEXT[now.mode.mode]],
          ]}
        />
      </Panel>
      <Panel title="Routes">
        {now.mode === undefined ? <Empty>The mode: this proxy does not offer it.</Empty> : <ModeForm />}
      </Panel>
      <Panel title="Reload">
        <p class="muted">Reads the configuration file again. An invalid file changes nothing.</p>
        <div class="buttons">
          <button type="button" onClick={() => void reload()}>
            Reload the configuration
          </button>
        </div>
      </Panel>
      <Panel title="Drain">
        <DrainForm />
      </Panel>
    </div>
  );
}

/** Replaces PAC and static proxies for a while; access, guard and limits hold. */
function ModeForm() {
  const mode = useSignal<Mode>(status.value?.mode?.mode ?? 'configured');
  const minutes = useSignal(15);
  const available: readonly Mode[] = status.value?.mode?.available ?? [];
  const set = (event: Event) => {
    event.preventDefault();
    void attempt('Setting the mode', async () => {
      const body = {
        mode: mode.value,
        ...(mode.value === 'configured' || minutes.value === 0 ? {} : { for: `${minutes.value}m` }),
      };
      await request('POST', 'mode', body);
      await readStatus();
      return `Routes: ${MODE_TEXT[mode.value]}.`;
    });
  };
  return (
    <form class="mode-form" onSubmit={set}>
      <Segments
        label="Mode"
        options={MODES.filter(([one]) => available.includes(one))}
        value={mode.value}
        onChoose={(value) => {
          mode.value = value;
        }}
      />
      {mode.value !== 'configured' && (
        <label>
          for{' '}
          <select
            value={minutes.value}
            onChange={(event) => {
              minutes.value = Number(event.currentTarget.value);
            }}
          >
            {SPANS.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </label>
      )}
      <p class="muted">Replaces PAC and static proxies only: rules, address guard and limits hold.</p>
      <div class="buttons">
        <button type="submit" class="primary">
          Apply
        </button>
      </div>
    </form>
  );
}

async function reload(): Promise<void> {
  await attempt('The reload', async () => {
    const { applied, message } = await request<{ applied: boolean; message: string }>('POST', 'reload', {});
    await readStatus();
    return applied ? message || 'The configuration was applied.' : `Nothing was changed: ${message}`;
  });
}

function DrainForm() {
  const isKept = useSignal(false);
  const drain = async () => {
    const open = counters.value?.open ?? 0;
    const answer = await confirmAction({
      title: isKept.value ? 'Drain this proxy?' : 'Drain and stop this proxy?',
      text: `New requests are refused at once; ${countText(open)} open ones get the time of timeouts.drain.`,
      action: 'Drain',
      hasReason: 'without-reason',
    });
    if (answer === undefined) return;
    await attempt('The drain', async () => {
      const left = await request<{ open: number }>('POST', 'drain', { exit: !isKept.value });
      notify('Draining…');
      await readStatus().catch(() => undefined);
      return `Draining: ${countText(left.open)} still open.`;
    });
  };
  return (
    <>
      <p class="muted">Takes no new request and lets open ones end.</p>
      <p>
        <label>
          <input
            type="checkbox"
            checked={isKept.value}
            onChange={(event) => {
              isKept.value = event.currentTarget.checked;
            }}
          />{' '}
          Keep the process afterwards
        </label>
      </p>
      <div class="buttons">
        <button type="button" class="danger" onClick={() => void drain()}>
          Drain
        </button>
      </div>
    </>
  );
}
