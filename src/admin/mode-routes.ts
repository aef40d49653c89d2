import { ROUTE_MODES, type RouteMode } from '../contracts/routing.ts';
import { parseDuration } from '../settings/units.ts';
import { AdminError, badRequest } from './admin-error.ts';
import type { ApiDeps } from './api-deps.ts';
import { audit } from './audit.ts';
import type { Modes } from './controlled-proxy.ts';
import { member } from './read-json.ts';
import type { AdminRequest, Answer, Route } from './routes.ts';

/** Longer is no exception any more, but the configuration. */
const FOR_MS_MAX = 7 * 24 * 60 * 60 * 1000;

/** The mode, as the API shows it. */
export interface ShownMode {
  readonly mode: RouteMode;
  /** Absent: until a reload or restart. */
  readonly until?: string;
  /** Those that the configuration has something for. */
  readonly available: readonly RouteMode[];
}

export const shownMode = ({ mode, untilMs, available }: Modes): ShownMode => ({
  mode,
  ...(untilMs !== undefined && { until: new Date(untilMs).toISOString() }),
  available,
});

/** What takes the place of the PAC and of the configured proxies for a while. Access, guard and limits hold. */
export function modeRoutes(deps: ApiDeps): Route[] {
  const { proxy } = deps;
  const run = (request: AdminRequest) => setMode(request, deps);
  return [
    { method: 'GET', path: '/api/mode', purpose: 'api', run: () => ({ status: 200, json: shownMode(proxy.modes) }) },
    { method: 'POST', path: '/api/mode', purpose: 'api', run },
    { method: 'PUT', path: '/api/mode', purpose: 'api', run },
  ];
}

async function setMode({ body, from, entrance }: AdminRequest, deps: ApiDeps): Promise<Answer> {
  const { proxy, clock, observe, allowsModes } = deps;
  const mode = modeIn(body);
  const forMs = spanIn(body);
  const { available, serves } = proxy.modes;
  if ((serves === 'exposed' || entrance.reach === 'exposed') && !allowsModes) {
    throw new AdminError(
      403,
      'modes',
      'Others can reach this proxy, and a mode would send their requests another way; admin.modes: true allows that.',
    );
  }
  if (!available.includes(mode)) throw new AdminError(409, 'no_mode', whyNot(mode, available));
  const untilMs = forMs && Math.round(clock.wallMs() + forMs);
  await proxy.setMode(mode, mode === 'configured' ? undefined : untilMs);
  const shown = shownMode(proxy.modes);
  const until = shown.until ?? 'a reload or restart';
  audit(observe, mode === 'configured' ? 'ended the mode' : `set the mode ${mode} until ${until}`, from);
  return { status: 200, json: shown };
}

function modeIn(body: unknown): RouteMode {
  const given = member(body, 'mode');
  const found = ROUTE_MODES.find((mode) => mode === given);
  if (found === undefined) throw badRequest('"mode" must be pac, direct, proxy or configured.');
  return found;
}

function spanIn(body: unknown): number | undefined {
  const given = member(body, 'for');
  if (given === undefined) return undefined;
  if (typeof given !== 'string' && typeof given !== 'number') throw badRequest('"for" must be a time such as "15m".');
  const ms = durationOf(given);
  if (ms < 1 || ms > FOR_MS_MAX) throw badRequest('"for" must be more than 0 and at most 7d; write for example "15m".');
  return ms;
}

function durationOf(text: string | number): number {
  try {
    return parseDuration(text);
  } catch (error) {
    throw badRequest(`"for" ${error instanceof Error ? error.message : error}`);
  }
}

function whyNot(mode: RouteMode, available: readonly RouteMode[]): string {
  if (available.length === 0) return 'The program that embeds this proxy decides about routes.';
  const setting = mode === 'pac' ? 'routes.pac is none' : 'routes.proxy names no proxy';
  return `There is nothing to switch to: ${setting}.`;
}
