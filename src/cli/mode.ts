import { ROUTE_MODES } from '../contracts/routing.ts';
import { stateFolder } from '../files/state-folder.ts';
import { parseDuration } from '../settings/units.ts';
import { quoted } from '../util/redact.ts';
import type { Call } from './command.ts';
import { out, UsageError } from './print.ts';
import { askRunning, runningProxy, textIn } from './running-proxy.ts';

/** `viaduct mode`: who decides about routes of the running proxy, and for how long. */
export async function run(call: Call): Promise<number> {
  const [mode] = call.operands;
  const span = call.options.get('for')?.at(-1);
  if (mode === undefined && span !== undefined) throw new UsageError('--for goes with a mode: pac, direct or proxy');
  if (mode !== undefined && !ROUTE_MODES.some((one) => one === mode)) {
    throw new UsageError(`${quoted(mode)} is no mode; write pac, direct, proxy or configured`);
  }
  if (span !== undefined) checkSpan(span);
  const instance = await runningProxy(call, stateFolder(process.env), process.env);
  const shown =
    mode === undefined
      ? await askRunning(instance, 'GET', '/api/mode')
      : await askRunning(instance, 'POST', '/api/mode', { mode, for: span });
  out(modeText(textIn(shown, 'mode'), textIn(shown, 'until')));
  return 0;
}

function checkSpan(text: string): void {
  try {
    parseDuration(text);
  } catch (error) {
    throw new UsageError(`--for ${error instanceof Error ? error.message : error}`);
  }
}

/** `direct, until 2026-01-02 03:04 UTC`. */
export function modeText(mode: string | undefined, until: string | undefined): string {
  if (mode === undefined) throw new Error('the proxy has answered something else; is it of another version?');
  if (mode === 'configured') return 'configured: routes are as the configuration says';
  const end = until === undefined ? 'a reload or restart' : `${until.slice(0, 19).replace('T', ' ')} UTC`;
  return `${mode}, until ${end}`;
}
