import { runningInstances } from '../admin/instances.ts';
import type { Config } from '../config/config.ts';
import { type ModeState, ROUTE_MODES } from '../contracts/routing.ts';
import { askRunning, textIn } from './running-proxy.ts';

const CONFIGURED: ModeState = { mode: 'configured' };

/** The mode of the running proxy that listens where this configuration does; `configured` where none runs or answers. */
export async function modeInForce({ listen }: Pick<Config, 'listen'>, stateDir: string): Promise<ModeState> {
  const ports = listen.flatMap((one) => (one.kind === 'tcp' && one.port !== 0 ? [one.port] : []));
  const isThere = (url: string) => ports.some((port) => url.endsWith(`:${port}`));
  const found = (await runningInstances(stateDir)).find(({ listeners }) => listeners.some(isThere));
  if (found === undefined) return CONFIGURED;
  try {
    const shown = await askRunning(found, 'GET', '/api/mode');
    const mode = ROUTE_MODES.find((one) => one === textIn(shown, 'mode'));
    const until = textIn(shown, 'until');
    if (mode === undefined) return CONFIGURED;
    return until === undefined ? { mode } : { mode, untilMs: Date.parse(until) };
  } catch {
    // It is of another version, or has just ended.
    return CONFIGURED;
  }
}
