/** The public door. Nothing else of the package is promised to stay. */
import { EventEmitter } from 'node:events';
import { type ConfigInput, resolveOptions } from './config/schema.ts';
import type { Exporter } from './core/contracts.ts';
import type { ProxyEvent } from './core/event.ts';
import { parseDuration } from './core/units.ts';
import { type AuthenticateHook, hookAuthenticator } from './identity/hook.ts';
import type { LimitHook } from './limits/hook.ts';
import { type AuthorizeHook, hookPolicy } from './policy/hook.ts';
import { type RunningProxy, startProxy as start } from './proxy.ts';
import { hookRouter, type RouteHook } from './routing/hook.ts';
import type { Lookup } from './upstream/resolver.ts';

export type { RequestContext } from './core/context.ts';
export type { ProxyEvent } from './core/event.ts';
export { FAILURES, type FailureCode, ProxyError } from './core/failure.ts';
export type { ProxyRecord } from './core/record.ts';
export type { Authority, ClientInfo, Headers } from './core/request.ts';
export type { Credentials } from './identity/basic.ts';
export type { AuthenticateHook } from './identity/hook.ts';
export type { Budget, LimitHook, RequestBudgets } from './limits/hook.ts';
export { ListenError } from './listeners/listening.ts';
export type { AuthorizeContext, AuthorizeHook } from './policy/hook.ts';
export type { RouteChoice, RouteHook } from './routing/hook.ts';
export { agentsVia, type ViaAgents } from './via/agents-via.ts';
export { connectVia, type ProxyUrl } from './via/connect-via.ts';
export { fetchVia, type ViaFetch } from './via/fetch-via.ts';
export type { ViaOptions } from './via/way.ts';
export type { ConfigInput };

/** Everything that a configuration file may say, and hooks: one question each, sync or async; a throw refuses. */
export interface ProxyOptions extends ConfigInput {
  /** Who is asking? Default: whom `clients.users` knows, else nobody has to say. Both together: either may know them. */
  readonly authenticate?: AuthenticateHook;
  /** May they go there? Asked after the rules of `access`. Default: yes. */
  readonly authorize?: AuthorizeHook;
  /** By which way? Asked instead of `routes`. Default: what `routes` says, and without it direct. */
  readonly route?: RouteHook;
  /** How fast? Besides `limits`, all of which hold as well. Default: no further limit. */
  readonly limit?: LimitHook;
  /** Resolves names to addresses, best first, instead of the system's resolver. */
  readonly lookup?: Lookup;
  /** Aborting it closes the proxy at once; one that is aborted already rejects the start with its reason. */
  readonly signal?: AbortSignal;
}

/** Events by name. `close` comes exactly once for every request, and carries its record. */
export type ProxyEvents = { close: [event: Extract<ProxyEvent, { type: 'closed' }>] } & {
  [Type in Exclude<ProxyEvent['type'], 'closed'>]: [event: Extract<ProxyEvent, { type: Type }>];
};

/** A running proxy. `await using` closes it at the end of the scope, at once. */
export interface ViaductProxy extends AsyncDisposable {
  /** The first listener, e.g. `http://127.0.0.1:49152`. */
  readonly url: string;
  readonly urls: readonly string[];
  /** Requests and tunnels that are open now. */
  readonly open: number;
  on<Name extends keyof ProxyEvents>(name: Name, listener: (...args: ProxyEvents[Name]) => void): this;
  off<Name extends keyof ProxyEvents>(name: Name, listener: (...args: ProxyEvents[Name]) => void): this;
  once<Name extends keyof ProxyEvents>(name: Name, listener: (...args: ProxyEvents[Name]) => void): this;
  /** Accepts no more, waits for what is open (`drain`, default 0), cuts the rest and says how many that were. */
  close(how?: { readonly drain?: string | number }): Promise<{ readonly cut: number }>;
}

/**
 * Starts a proxy in this process: on a free port of 127.0.0.1 unless `listen` says otherwise, silent unless `log` does.
 * Rejects with an Error that names the option when one is wrong, and with a ListenError when an address is taken.
 */
export async function startProxy(options: ProxyOptions = {}): Promise<ViaductProxy> {
  const { authenticate, authorize, route, limit, lookup, signal, ...settings } = options;
  signal?.throwIfAborted();
  const config = resolveOptions(settings, authenticate === undefined ? 'configuration' : 'program');
  const events = new EventEmitter();
  const running = await start(config, {
    brought: {
      authenticator: authenticate && hookAuthenticator(authenticate),
      policy: authorize && hookPolicy(authorize),
      router: route && hookRouter(route),
      limit,
    },
    exporters: [emitting(events)],
    ...(lookup !== undefined && { lookup }),
  });
  const proxy = new Embedded(running, events, signal);
  // It may have been aborted while the listeners were opened.
  if (signal?.aborted) await proxy.close();
  signal?.throwIfAborted();
  return proxy;
}

const emitting = (events: EventEmitter): Exporter => ({
  name: 'events',
  observe: (event) => {
    events.emit(event.type === 'closed' ? 'close' : event.type, event);
  },
  [Symbol.asyncDispose]: () => Promise.resolve(),
});

class Embedded implements ViaductProxy {
  readonly #running: RunningProxy;
  readonly #events: EventEmitter;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => void this.close();

  constructor(running: RunningProxy, events: EventEmitter, signal: AbortSignal | undefined) {
    this.#running = running;
    this.#events = events;
    this.#signal = signal;
    signal?.addEventListener('abort', this.#onAbort);
  }

  get url(): string {
    return this.#running.url;
  }

  get urls(): readonly string[] {
    return this.#running.urls;
  }

  get open(): number {
    return this.#running.open;
  }

  on<Name extends keyof ProxyEvents>(name: Name, listener: (...args: ProxyEvents[Name]) => void): this {
    this.#events.on(name, listener);
    return this;
  }

  off<Name extends keyof ProxyEvents>(name: Name, listener: (...args: ProxyEvents[Name]) => void): this {
    this.#events.off(name, listener);
    return this;
  }

  once<Name extends keyof ProxyEvents>(name: Name, listener: (...args: ProxyEvents[Name]) => void): this {
    this.#events.once(name, listener);
    return this;
  }

  close({ drain = 0 }: { readonly drain?: string | number } = {}): Promise<{ readonly cut: number }> {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    return this.#running.close({ drainMs: parseDuration(drain) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
