import { hostname } from 'node:os';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, createSecureContext, type SecureContext } from 'node:tls';
import { type Deadline, deadline } from '../contracts/deadline.ts';
import type { DialScope } from '../contracts/dialing.ts';
import { asProxyError, FAILURES, isUnreachable, ProxyError } from '../contracts/failure.ts';
import type { AddressGuard } from '../contracts/policy.ts';
import type { Authority } from '../contracts/request.ts';
import { PROXY_ITSELF } from '../contracts/resolver.ts';
import { urlCredentials } from '../credentials/url-credentials.ts';
import { formatRoute } from '../protocol/routes/route-text.ts';
import type { RouteChoice } from '../routing/hook.ts';
import { createRouteDialer, type RouteDialerOptions } from '../upstream/dial/create-route-dialer.ts';
import { cachingResolver } from '../upstream/dial/resolver.ts';
import { openStream } from '../upstream/dial/tcp.ts';
import { readerOf } from '../upstream/http/upstream-connection.ts';
import { machineRoots, TLS_RULES, type TlsSettings, tlsSettings } from '../upstream/tls/trust.ts';
import { systemKerberos } from '../upstream-auth/gssapi/gssapi.ts';
import { ProxyAuthCache } from '../upstream-auth/proxy-auth-cache.ts';
import { workstationName } from '../upstream-auth/schemes/ntlm.ts';
import { systemSspi } from '../upstream-auth/sspi/sspi.ts';
import { UpstreamAuth } from '../upstream-auth/upstream-auth.ts';
import { systemClock } from '../util/clock.ts';
import type { StopSignal } from '../util/stop.ts';
import type { AtPeersEnd } from './local-socket.ts';
import { plainConnector } from './plain-connector.ts';
import { routeOf } from './route-of.ts';
import { streamOf } from './stream-of.ts';

export interface ViaOptions {
  /** Aborts; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Milliseconds until the tunnel must be open. Default 30 000. Error: ProxyError `connect_timeout`. */
  readonly timeoutMs?: number;
  /**
   * TLS towards `https:` proxies, for example `{ ca }`. Verified unless you say `rejectUnauthorized: false` here; the
   * environment cannot (`NODE_TLS_REJECT_UNAUTHORIZED=0` is ignored).
   */
  readonly proxyTls?: ConnectionOptions;
}

/** What `fetchVia` and `agentsVia` take in addition. */
export interface ViaHttpOptions extends ViaOptions {
  /**
   * Which requests go through a tunnel (CONNECT). `https`, the default: an `http:` request is sent to the last proxy
   * itself, in absolute-form, as proxies expect it; many refuse a CONNECT to port 80. `all`: `http:` too, so that a proxy
   * sees no more of it than host and port. Through a SOCKS proxy every request is in a tunnel.
   */
  readonly tunnel?: 'https' | 'all';
  /** TLS towards `https:` targets, for example `{ ca }`. */
  readonly targetTls?: ConnectionOptions;
}

const TIMEOUT_MS = 30_000;
/** The steps of a dial have no limit of their own; this is as long as a timer can wait. */
const NO_LIMIT_MS = 2 ** 31 - 1;

/** A route of a program, over which it opens any number of connections. */
export interface ProxyTunnel {
  /** The caller's signal with the time limit of the options. Dispose it when the connection is open. */
  connectDeadline(): Deadline;
  /** A socket to the target, as if it had been connected directly. */
  open(to: Authority, signal: StopSignal, atPeersEnd?: AtPeersEnd): Promise<Duplex>;
  /**
   * A connection for plain requests to the target, which the last proxy is sent in absolute-form. It dials when a request
   * needs it. `undefined`: no proxy on this route reads plain requests, and they need a tunnel.
   */
  plain(to: Authority): Duplex | undefined;
}

/** Throws ProxyError `no_route` for a text that names no route, or several. */
export function createProxyTunnel(choice: RouteChoice, options: ViaOptions): ProxyTunnel {
  const route = routeOf(choice);
  const { signal, timeoutMs = TIMEOUT_MS, proxyTls } = options;
  const dialerOptions: RouteDialerOptions = {
    resolver: cachingResolver(systemClock),
    clock: systemClock,
    connectMs: NO_LIMIT_MS,
    headMs: NO_LIMIT_MS,
    open: openStream,
    tls: proxyTls === undefined ? tlsSettings([]) : settingsOf(proxyTls),
    auth: new UpstreamAuth({
      credentials: urlCredentials(),
      cache: new ProxyAuthCache(systemClock),
      kerberos: systemKerberos({ clock: systemClock, platform: process.platform }),
      sspi: systemSspi({ clock: systemClock, platform: process.platform }),
      workstation: workstationName(hostname()),
      clock: systemClock,
    }),
  };
  const dialer = createRouteDialer(dialerOptions);
  const connectDeadline = (parent: StopSignal = signal ?? new AbortController().signal): Deadline =>
    deadline({ signal: parent, clock: systemClock }, timeoutMs, 'connect_timeout', formatRoute(route));
  const plain = plainConnector({
    route,
    dialerOptions,
    connectDeadline,
    signal,
    scope,
    failed: withoutProxy,
  });
  return {
    connectDeadline: () => connectDeadline(),
    async open(to, waiting, atPeersEnd = 'end-too') {
      try {
        return await streamOf(await dialer.tunnel(route, to, scope(waiting)), atPeersEnd);
      } catch (error) {
        throw route.via === 'direct' || waiting.aborted ? error : withoutProxy(asProxyError(error));
      }
    },
    plain: (to) => (readerOf(route) === undefined ? undefined : plain(to)),
  };
}

/**
 * A program that names no roots trusts what its machine trusts. Its own options hold, `rejectUnauthorized: false` too; those
 * of the environment (NODE_TLS_REJECT_UNAUTHORIZED) do not.
 */
function settingsOf(given: ConnectionOptions): TlsSettings {
  let settings: ConnectionOptions | undefined;
  return () => {
    settings ??= { ...given, secureContext: given.secureContext ?? contextOf(given) };
    return settings;
  };
}

function contextOf(given: ConnectionOptions): SecureContext {
  // `secureProtocol` sets the versions, and Node rejects `minVersion` beside it.
  const { minVersion, ...rules } = TLS_RULES;
  const versions = given.secureProtocol === undefined ? { minVersion } : {};
  return createSecureContext({ ...rules, ...versions, ...given, ca: given.ca ?? [...machineRoots()] });
}

/** A program may connect to any address. */
const allow = () => ({ verdict: 'allow', rule: 'asked by the program' }) as const;
const NO_GUARD: AddressGuard = { check: allow, checkConfigured: allow };
const scope = (signal: StopSignal): DialScope => ({
  id: 'via',
  client: PROXY_ITSELF,
  signal,
  clock: systemClock,
  guard: NO_GUARD,
  observe: () => undefined,
  tap: undefined,
});

/** Through a proxy these can only mean that the proxy cannot be reached. A slow one stays a timeout. */
function withoutProxy(failure: ProxyError): ProxyError {
  if (!isUnreachable(failure.code) || FAILURES[failure.code].status === 504) return failure;
  return new ProxyError('connect_failed', failure.detail, { cause: failure });
}
