import { AdminServer } from '../admin/server.ts';
import type { Config } from '../config/config.ts';
import type { Observe } from '../contracts/event.ts';
import { adminToken } from '../credentials/admin-token.ts';
import { LoopDelay } from '../observe/loop-delay.ts';
import { RequestCounter } from '../observe/request-counter.ts';
import { RequestSteps } from '../observe/request-steps.ts';
import { TrafficTotals } from '../observe/traffic-totals.ts';
import { systemClock } from '../util/clock.ts';
import { controlledHere } from './controlled.ts';
import type { RunningProxy } from './running-proxy.ts';
import type { StartOptions } from './start.ts';

/** The admin server of a proxy that a program embeds. */
export interface EmbeddedAdmin extends AsyncDisposable {
  readonly url: string;
  /** For `Authorization: Bearer`. */
  readonly token: string;
}

/** `settings.admin` of a program: opens its addresses, starts the proxy, and shows it. Without that setting: the proxy alone. */
export async function startWithAdmin(
  config: Config,
  options: StartOptions,
  {
    start,
    observe,
    version,
  }: { start(options: StartOptions): Promise<RunningProxy>; observe: Observe; version: string },
): Promise<{ readonly running: RunningProxy; readonly admin: EmbeddedAdmin | undefined }> {
  if (config.admin === undefined) return { running: await start(options), admin: undefined };
  const token = adminToken({ origin: config.admin.token, environment: process.env, stateDir: undefined });
  const server = await AdminServer.open(config.admin, { clock: systemClock, observe, token, version });
  try {
    const counter = new RequestCounter(systemClock);
    const totals = new TrafficTotals(systemClock);
    const steps = new RequestSteps(systemClock);
    const shown = { name: 'dashboard', observe: server.show, [Symbol.asyncDispose]: () => Promise.resolve() };
    const exporters = [...(options.exporters ?? []), counter, totals, steps, shown];
    const running = await start({ ...options, exporters, ownAddresses: () => server.addresses });
    const delay = new LoopDelay(systemClock);
    server.serve(controlledHere(running, config, { counts: counter.counts, delay, totals, steps }));
    return {
      running,
      admin: {
        url: server.url ?? '',
        get token() {
          return token.read();
        },
        async [Symbol.asyncDispose]() {
          delay[Symbol.dispose]();
          await server[Symbol.asyncDispose]();
        },
      },
    };
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}
