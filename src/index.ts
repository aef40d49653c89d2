/** The public interface of the package. Nothing else of it is promised to stay. */
import './settings/zod-globals.ts';
import { EventEmitter } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type EmbeddedAdmin, startWithAdmin } from './app/embedded-admin.ts';
import type { RunningProxy } from './app/running-proxy.ts';
import { startProxy as start } from './app/start.ts';
import { type ConfigInput, resolveOptions } from './config/schema.ts';
import type { DrainReport } from './contracts/drain-report.ts';
import type { ProxyEvent as AnyEvent } from './contracts/event.ts';
import type { RespondHook } from './contracts/respond-hook.ts';
import type { TunnelHook } from './contracts/tunnel-hook.ts';
import { version } from './files/version.ts';
import { type AuthenticateHook, hookAuthenticator } from './identity/hook.ts';
import type { LimitHook } from './limits/hook.ts';
import type { StoreClient } from './limits/store/store-client.ts';
import { eventListeners } from './observe/event-listeners.ts';
import { type AuthorizeHook, hookPolicy } from './policy/hook.ts';
import { hookRouter, type RouteHook } from './routing/hook.ts';
import { type Session, type SessionFilter, sessionOf, sessionTest } from './sessions/session.ts';
import { parseDuration } from './settings/units.ts';
import { type LookupHook, lookupOf } from './upstream/dial/lookup-hook.ts';

export { ListenError } from './clients/listening.ts';
export type {
  BridgeKind,
  CertificateFiles,
  CertificateUser,
  Listen,
  ListenProtocol,
  ListenSettings,
  ListenTls,
  SocketListen,
} from './clients/options.ts';
export type { RequestContext } from './contracts/context.ts';
export type { DrainReport } from './contracts/drain-report.ts';
export type { NoticeLevel } from './contracts/event.ts';
export { type CustomRefusal, FAILURES, type Failure, type FailureCode, ProxyError } from './contracts/failure.ts';
export type { AuthSchemeName, LoginTerms } from './contracts/login-terms.ts';
export type { LookupAddress, LookupHookResult } from './contracts/lookup-answer.ts';
export type { LocalResponse, ResponseHead } from './contracts/message.ts';
export type { HopTls, OutboundTerms } from './contracts/outbound.ts';
export type { FieldsInput, ResponseInput } from './contracts/own-response.ts';
export type { ProxyRecord, TimedStep, WireBytes } from './contracts/record.ts';
export type { RelayEnd } from './contracts/relay.ts';
export type {
  Authority,
  Body,
  ClientCredentials,
  ClientInfo,
  ClientTls,
  ForwardRequest,
  Framing,
  Headers,
  ProxyRequest,
  RequestHead,
  RequestProtocol,
  RequestState,
  TunnelRequest,
} from './contracts/request.ts';
export type { HookResponse, RespondHook, RespondResult } from './contracts/respond-hook.ts';
export type { Secret } from './contracts/secret.ts';
export type {
  Allow,
  Decision,
  Deny,
  Hop,
  HopScheme,
  Hops,
  Login,
  NamedBy,
  Route,
  RouteSource,
} from './contracts/stages.ts';
export type { ConnectionTaker, TunnelEnd, TunnelHook } from './contracts/tunnel-hook.ts';
export type { ByteSource, Ownership, Receiver } from './contracts/wire.ts';
export type { Credentials } from './identity/basic.ts';
export type {
  Anonymous,
  AuthenticateContext,
  AuthenticateHook,
  AuthenticateResult,
  LoginDemand,
  LoginDemandOptions,
} from './identity/hook.ts';
export type { Budget, LimitHook, RequestBudgets } from './limits/hook.ts';
export type { Priority } from './limits/options.ts';
export type { StoreClient } from './limits/store/store-client.ts';
export type { AuthorizeContext, AuthorizeHook } from './policy/hook.ts';
export type { HopChoice, ProxyHop, RouteChoice, RouteHook, RouteHookResult, RouteWithTerms } from './routing/hook.ts';
export type { HopTlsInput } from './routing/hop-tls.ts';
export type { Session, SessionFilter } from './sessions/session.ts';
export type { OneOrList } from './settings/list-setting.ts';
export type { LoginTermsInput } from './settings/login-setting.ts';
export type { OutboundInput } from './settings/outbound-setting.ts';
export type { LookupCallback, LookupHookOptions, LookupObject } from './upstream/dial/lookup-hook.ts';
export type { StopListener, StopSignal } from './util/stop.ts';
export { agentsVia, type ViaAgents } from './via/agents-via.ts';
export { type ConnectViaOptions, connectVia, type ProxyUrl } from './via/connect-via.ts';
export { fetchVia, type ViaFetch } from './via/fetch-via.ts';
export type { ViaHttpOptions, ViaOptions } from './via/proxy-tunnel.ts';
export type { ConfigInput, LookupHook };

/** The settings of a configuration file, and hooks. A hook may be sync or async; one that throws refuses the request. */
export interface ProxyOptions extends ConfigInput {
  /**
   * Authenticates the client. Default: the users of `clients.users`, and without them no client has to log in. With both,
   * the hook is called for clients that `clients.users` does not recognise.
   */
  readonly authenticate?: AuthenticateHook;
  /** Decides whether the client may go to the target. Called after the rules of `access` have allowed it. Default: it may. */
  readonly authorize?: AuthorizeHook;
  /** Chooses the route, instead of `routes`. Default: `routes`, and without that setting direct. */
  readonly route?: RouteHook;
  /** Limits the bandwidth of the request, in addition to `limits`. Default: no further limit. */
  readonly limit?: LimitHook;
  /**
   * A client of Redis or Valkey that the program keeps, for limits that several instances share, in place of `limits.store`:
   * of `ioredis`, `iovalkey`, `redis` or `@redis/client`. It should not queue commands while it is not connected.
   */
  readonly limitStore?: StoreClient;
  /** Answers a plain request in the place of its origin. Default: all go on. */
  readonly respond?: RespondHook;
  /** Connects a CONNECT to a stream or a server of the program. Default: all go on. Nothing is intercepted unless it does. */
  readonly tunnel?: TunnelHook;
  /** Resolves names to addresses, best first, instead of the system's resolver. `dns.lookup` and functions like it fit. */
  readonly lookup?: LookupHook;
  /** Aborting it closes the proxy at once. When it is aborted before the proxy serves, `startProxy` rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** An event of a proxy that a program runs; see `ProxyEvents`. */
export type ProxyEvent = Exclude<AnyEvent, { readonly type: 'head' }>;

/**
 * Events by their `type`. `response` comes when the head of the response to the client has been written. `close` comes
 * exactly once for every request, last, and carries its record.
 */
export type ProxyEvents = { [Type in ProxyEvent['type']]: [event: Extract<ProxyEvent, { type: Type }>] };

/** A running proxy. `await using` closes it at the end of the scope, at once. */
export interface ViaductProxy extends AsyncDisposable {
  /** The first listener, e.g. `http://127.0.0.1:49152`. */
  readonly url: string;
  readonly urls: readonly string[];
  /** Of the first listener; 0 for a unix socket. */
  readonly port: number;
  /** The address of the first listener, as `net.Server` reports it: the path of a unix socket; `null` once the proxy is closed. */
  address(): AddressInfo | string | null;
  /** The dashboard and the API, where the option `admin` is set, and the token that `Authorization: Bearer` takes. */
  readonly admin: { readonly url: string; readonly token: string } | undefined;
  /** Requests and tunnels in progress. */
  readonly open: number;
  /** All of them, in no order. */
  sessions(): readonly Session[];
  /** One of them, which may have ended. */
  session(id: string): SessionHandle;
  /** Ends those that the filter picks, all without one, and returns how many. `reason` is the `detail` of their records. */
  closeSessions(filter?: SessionFilter, reason?: string): number;
  on<Name extends keyof ProxyEvents>(name: Name, listener: (...args: ProxyEvents[Name]) => void): this;
  off<Name extends keyof ProxyEvents>(name: Name, listener: (...args: ProxyEvents[Name]) => void): this;
  once<Name extends keyof ProxyEvents>(name: Name, listener: (...args: ProxyEvents[Name]) => void): this;
  /** Accepts no more, closes idle connections, waits up to `drain` (default 0) for open requests and aborts the rest. */
  close(how?: { readonly drain?: string | number }): Promise<DrainReport>;
}

/** A request or a tunnel by its id. */
export interface SessionHandle {
  readonly id: string;
  /** `undefined`: it has ended. */
  info(): Session | undefined;
  /** Ends it, with a reason for its record. False: it has ended already. */
  close(reason?: string): boolean;
}

/** For the records of sessions that a program ends without a reason. */
const BY_PROGRAM = 'ended by the program that runs the proxy';

/**
 * Starts a proxy in this process: on `port` of 127.0.0.1, by default a free one, unless `listen` is set, and without an
 * access log unless `log` is set.
 * Rejects with an Error that names the option when one is wrong, and with a ListenError when an address is taken.
 */
export async function startProxy(options: ProxyOptions = {}): Promise<ViaductProxy> {
  const { authenticate, authorize, route, limit, limitStore, respond, tunnel, lookup, signal, ...settings } = options;
  const hooks = { authenticate, authorize, route, limit, respond, tunnel, lookup };
  const config = resolveOptions(settings, { ...hooks, limitStore, signal });
  signal?.throwIfAborted();
  const events = new EventEmitter();
  const listeners = eventListeners(events);
  const complete = {
    overrides: {
      authenticators: authenticate && [hookAuthenticator(authenticate)],
      policy: authorize && hookPolicy(authorize),
      router: route && hookRouter(route),
      limit,
      limitStore,
      respond,
      tunnel,
    },
    exporters: [listeners],
    ...(lookup !== undefined && { lookup: lookupOf(lookup) }),
  };
  const { running, admin } = await startWithAdmin(config, complete, {
    start: (options) => start(config, options),
    observe: listeners.observe,
    version: version(),
  });
  const proxy = new Embedded(running, admin, events, signal);
  // It may have been aborted while the listeners were opened.
  if (signal?.aborted) await proxy.close();
  signal?.throwIfAborted();
  return proxy;
}

class Embedded implements ViaductProxy {
  readonly #running: RunningProxy;
  readonly #admin: EmbeddedAdmin | undefined;
  readonly #events: EventEmitter;
  readonly #signal: AbortSignal | undefined;
  #isClosed = false;
  readonly #onAbort = (): void => void this.close();

  constructor(
    running: RunningProxy,
    admin: EmbeddedAdmin | undefined,
    events: EventEmitter,
    signal: AbortSignal | undefined,
  ) {
    this.#running = running;
    this.#admin = admin;
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

  get port(): number {
    const { listening } = this.#running;
    return listening?.kind === 'tcp' ? listening.port : 0;
  }

  address(): AddressInfo | string | null {
    const { listening } = this.#running;
    if (this.#isClosed || listening === undefined) return null;
    if (listening.kind === 'unix') return listening.path;
    if (listening.kind === 'systemd') return null;
    const { host: address, port } = listening;
    return { address, family: address.includes(':') ? 'IPv6' : 'IPv4', port };
  }

  get admin(): ViaductProxy['admin'] {
    return this.#admin && { url: this.#admin.url, token: this.#admin.token };
  }

  get open(): number {
    return this.#running.open;
  }

  sessions(): readonly Session[] {
    return this.#running.sessions.snapshot().map(sessionOf);
  }

  session(id: string): SessionHandle {
    const { sessions } = this.#running;
    return {
      id,
      info() {
        const live = sessions.find(id);
        return live && sessionOf(live);
      },
      close: (reason = BY_PROGRAM) => sessions.end(id, reason),
    };
  }

  closeSessions(filter: SessionFilter = {}, reason: string = BY_PROGRAM): number {
    const wanted = this.sessions().filter(sessionTest(filter));
    return this.#running.sessions.endAll(new Set(wanted.map(({ id }) => id)), reason);
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

  close({ drain = 0 }: { readonly drain?: string | number } = {}): Promise<DrainReport> {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#isClosed = true;
    return this.#end(parseDuration(drain));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #end(drainMs: number): Promise<DrainReport> {
    const result = await this.#running.close({ drainMs });
    await this.#admin?.[Symbol.asyncDispose]();
    return result;
  }
}
