import * as z from 'zod';
import type { ShownPac, ShownUpstream } from '../../admin/controlled-proxy.ts';
import type { Instance } from '../../admin/instances.ts';
import { startProxy } from '../../app/start.ts';
import type { Config } from '../../config/config.ts';
import { resolveOptions } from '../../config/schema.ts';
import { systemClock } from '../../util/clock.ts';
import { nonInteractiveSources } from '../account/prompt-accounts.ts';
import { modeText } from '../mode.ts';
import { askRunning, textIn } from '../running-proxy.ts';

/** A proxy that can be asked about itself. */
export interface Subject extends AsyncDisposable {
  /** `started`: for this run, with the settings and the latches of this user. `foreign`: not one of this user's. */
  readonly kind: 'running' | 'started' | 'foreign';
  readonly url: string;
  pac(): Promise<ShownPac | undefined>;
  upstreams(): Promise<readonly UpstreamState[]>;
  /** Who decides about routes for now, where a person has switched it. */
  mode(): Promise<string | undefined>;
  /** The upstream proxies by which a URL would be requested, best first. */
  proxiesFor(url: string): Promise<readonly ProxyOnRoute[]>;
}

type UpstreamState = Pick<ShownUpstream, 'name' | 'state' | 'lastFailure'>;

export interface ProxyOnRoute {
  readonly host: string;
  readonly port: number;
  /** Its password was rejected, and is held back. */
  readonly isRejected: boolean;
}

export const foreignSubject = (url: string): Subject => ({
  kind: 'foreign',
  url,
  pac: async () => undefined,
  upstreams: async () => [],
  proxiesFor: async () => [],
  mode: async () => undefined,
  [Symbol.asyncDispose]: async () => undefined,
});

/** A proxy of this user that runs. What it does not tell, another version for example, is left out. */
export function runningSubject(instance: Instance, url: string): Subject {
  const ask = (path: string): Promise<unknown> => askRunning(instance, 'GET', path).catch(() => undefined);
  return {
    kind: 'running',
    url,
    pac: async () => asPac(await ask('/api/pac')),
    upstreams: async () => asUpstreams(await ask('/api/upstreams')),
    async mode() {
      const body = await ask('/api/mode');
      const mode = textIn(body, 'mode');
      return mode === undefined || mode === 'configured' ? undefined : modeText(mode, textIn(body, 'until'));
    },
    proxiesFor: async (target) => asProxies(await ask(`/api/why?url=${encodeURIComponent(target)}`)),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/**
 * A proxy with these settings on a free port. It reads and writes the latches of this user, so that a password which was
 * rejected is not sent once more.
 */
export async function startedSubject(config: Config, stateDir: string): Promise<Subject> {
  const { listen, clients } = resolveOptions({ listen: '127.0.0.1:0' });
  const own: Config = {
    ...config,
    listen,
    clients,
    log: { ...config.log, format: 'off' },
    limits: resolveOptions().limits,
  };
  const sources = { ...nonInteractiveSources(process.env, stateDir), startedMs: systemClock.wallMs() };
  const proxy = await startProxy(own, { stateDir, credentials: { ...sources, prompted: new Map() } });
  return {
    kind: 'started',
    url: proxy.url,
    pac: async () => proxy.ways().pac,
    upstreams: async () => proxy.ways().upstreams,
    mode: async () => undefined,
    async proxiesFor(target) {
      const answer = await proxy.why({ url: target, from: '127.0.0.1' });
      return 'report' in answer ? asProxies(JSON.parse(answer.report)) : [];
    },
    [Symbol.asyncDispose]: async () => void (await proxy.close({ drainMs: 0 })),
  };
}

/** Of this very version; another one is shown as far as it has these fields. */
function asPac(body: unknown): ShownPac | undefined {
  if (typeof body !== 'object' || body === null || !('state' in body)) return undefined;
  const { state } = body;
  if (state !== 'none' && state !== 'system-proxies' && state !== 'script' && state !== 'unreachable') return undefined;
  const text = (name: string) => (name in body ? textOf(Object(body)[name]) : undefined);
  const ageMs = 'ageMs' in body && typeof body.ageMs === 'number' ? body.ageMs : undefined;
  return { state, source: text('source'), lastError: text('lastError'), ageMs };
}

function asUpstreams(body: unknown): readonly UpstreamState[] {
  const list = typeof body === 'object' && body !== null && 'upstreams' in body ? body.upstreams : [];
  if (!Array.isArray(list)) return [];
  return list.flatMap((one: unknown) => {
    if (typeof one !== 'object' || one === null || !('name' in one)) return [];
    const name = textOf(one.name) ?? '';
    const state = 'state' in one && one.state === 'down' ? 'down' : 'up';
    return [{ name, state, lastFailure: 'lastFailure' in one ? textOf(one.lastFailure) : undefined }];
  });
}

/** What of a report of `why` is used here. */
const reportSchema = z.object({
  routing: z.object({
    routes: z.array(
      z.object({
        route: z.object({
          hops: z.array(z.object({ proxy: z.object({ host: z.string(), port: z.number() }) })).optional(),
        }),
        accounts: z.array(z.object({ account: z.object({ isRejected: z.boolean().optional() }) })),
      }),
    ),
  }),
});

function asProxies(body: unknown): readonly ProxyOnRoute[] {
  const report = reportSchema.safeParse(body);
  if (!report.success) return [];
  return report.data.routing.routes.flatMap(({ route, accounts }) => {
    const [first] = route.hops ?? [];
    return first === undefined
      ? []
      : [{ ...first.proxy, isRejected: accounts.some(({ account }) => account.isRejected) }];
  });
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
