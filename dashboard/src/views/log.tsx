import { useSignal } from '@preact/signals';
import type { LogLine } from '../api/shape.ts';
import { log } from '../model/state.ts';
import { clockText } from '../model/units.ts';
import { Empty } from '../ui/loaded.tsx';
import { Segments } from '../ui/panel.tsx';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
type Level = (typeof LEVELS)[number];

const levelOf = (line: LogLine): number => {
  const name = line.level.toLowerCase().replace('warning', 'warn');
  const at = LEVELS.indexOf(name as Level);
  return at < 0 ? 1 : at;
};
const TONES = ['muted', '', 'warn', 'bad'] as const;

/** The diagnostic log as it is written, newest first. */
export function Log() {
  const least = useSignal<Level>('info');
  const text = useSignal('');
  const frozen = useSignal<readonly LogLine[] | undefined>(undefined);
  const lines = frozen.value ?? log.value;
  const wanted = text.value.toLowerCase();
  const chosen = lines.filter(
    (line) => levelOf(line) >= LEVELS.indexOf(least.value) && line.message.toLowerCase().includes(wanted),
  );
  return (
    <>
      <div class="toolbar">
        <input
          type="search"
          placeholder="Filter"
          aria-label="Filter"
          value={text.value}
          onInput={(event) => {
            text.value = event.currentTarget.value;
          }}
        />
        <Segments
          label="Least level"
          options={LEVELS.map((level) => [level, level] as const)}
          value={least.value}
          onChoose={(level) => {
            least.value = level;
          }}
        />
        <button
          type="button"
          aria-pressed={frozen.value === undefined ? 'false' : 'true'}
          onClick={() => {
            frozen.value = frozen.value === undefined ? log.value : undefined;
          }}
        >
          {frozen.value === undefined ? 'Pause' : 'Resume'}
        </button>
      </div>
      <section class="panel" aria-label="Log">
        {chosen.length === 0 ? (
          <Empty>{lines.length === 0 ? 'Nothing was logged since this page was opened.' : 'No line matches.'}</Empty>
        ) : (
          <ol class="log-lines">
            {chosen.map((line, at) => (
              <li key={`${line.at} ${lines.length - at}`}>
                <span class="muted">{clockText(line.at)}</span>
                <span class={TONES[levelOf(line)]}>{line.level}</span>
                <span>{line.message}</span>
              </li>
            ))}
          </ol>
        )}
      </section>
    </>
  );
}
