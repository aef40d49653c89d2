import type { ApiDeps } from './api-deps.ts';
import { type ShownMode, shownMode } from './mode-routes.ts';
import type { Route } from './routes.ts';

/** What the proxy is and does, as `/api/status` and every snapshot have it. */
export interface Status {
  readonly name: string;
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly workers: number;
  readonly mode: ShownMode;
  readonly draining: boolean;
  readonly listeners: readonly string[];
  readonly relay: string;
  readonly now: string;
}

export function statusOf({ clock, version, proxy, state }: ApiDeps): Status {
  const nowMs = clock.wallMs();
  return {
    name: proxy.name,
    version,
    pid: process.pid,
    startedAt: new Date(nowMs - process.uptime() * 1000).toISOString(),
    workers: proxy.workers,
    mode: shownMode(proxy.modes),
    draining: state() === 'draining',
    listeners: proxy.urls,
    relay: proxy.relay,
    now: new Date(nowMs).toISOString(),
  };
}

export function statusRoutes(deps: ApiDeps): Route[] {
  return [{ method: 'GET', path: '/api/status', purpose: 'api', run: () => ({ status: 200, json: statusOf(deps) }) }];
}
