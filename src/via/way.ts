import { hostname } from 'node:os';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, createSecureContext } from 'node:tls';
import { systemClock } from '../core/clock.ts';
import type { AddressGuard, DialScope } from '../core/contracts.ts';
import { type Deadline, deadline } from '../core/deadline.ts';
import { asProxyError, type FailureCode, ProxyError } from '../core/failure.ts';
import type { Authority } from '../core/request.ts';
import type { Connection, Route } from '../core/stages.ts';
import type { StopSignal } from '../core/stop.ts';
import { StreamWire } from '../core/wire.ts';
import { formatRoute, parseRoutes } from '../protocol/route-text.ts';
import type { RouteChoice } from '../routing/hook.ts';
import { systemTicketing } from '../upstream/auth/gssapi.ts';
import { loginBook } from '../upstream/auth/login-book.ts';
import { AuthMemory } from '../upstream/auth/memory.ts';
import { workstationName } from '../upstream/auth/ntlm.ts';
import { UpstreamAuth } from '../upstream/auth/upstream-auth.ts';
import { allPaths } from '../upstream/registry.ts';
import { cachingResolver } from '../upstream/resolver.ts';
import { openStream } from '../upstream/tcp.ts';
import { machineRoots, type TlsSettings, tlsSettings } from '../upstream/trust.ts';

export interface ViaOptions {
  /** Gives up; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Milliseconds until the tunnel must be open. Default 30 000. Error: ProxyError `connect_timeout`. */
  readonly timeoutMs?: number;
  /** TLS towards `https:` proxies, for example `{ ca }`. Verified unless you say otherwise. */
  readonly proxyTls?: ConnectionOptions;
}

const TIMEOUT_MS = 30_000;
/** The steps inside have no limit of their own; this is as long as a timer can wait. */
const NO_LIMIT_MS = 2 ** 31 - 1;

/** A way for a program to go, as often as it likes. */
export interface Way {
  /** The caller's patience, and the time that the options give. Dispose it when the connection is open. */
  patience(): Deadline;
  /** A socket to the target, as if it had been connected directly. */
  open(to: Authority, signal: StopSignal): Promise<Duplex>;
}

/** Throws ProxyError `no_route` for a text that names no way, or several. */
export function wayOf(choice: RouteChoice, options: ViaOptions): Way {
  const route = routeOf(choice);
  const { signal, timeoutMs = TIMEOUT_MS, proxyTls } = options;
  const paths = allPaths({
    resolver: cachingResolver(systemClock),
    clock: systemClock,
    connectMs: NO_LIMIT_MS,
    headMs: NO_LIMIT_MS,
    open: openStream,
    tls: proxyTls === undefined ? tlsSettings([]) : settingsOf(proxyTls),
    auth: new UpstreamAuth({
      book: loginBook,
      memory: new AuthMemory(systemClock),
      tickets: systemTicketing({ clock: systemClock, platform: process.platform }),
      workstation: workstationName(hostname()),
      clock: systemClock,
    }),
  });
  return {
    patience: () => deadline(signal ?? new AbortController().signal, timeoutMs, 'connect_timeout', formatRoute(route)),
    async open(to, waiting) {
      try {
        return await given(await paths.tunnel(route, to, scope(waiting)));
      } catch (error) {
        throw route.via === 'direct' || waiting.aborted ? error : withoutProxy(asProxyError(error));
      }
    },
  };
}

function routeOf(choice: RouteChoice): Route {
  try {
    const one = Array.isArray(choice) ? choice.map(linkOf) : String(choice);
    const [route, ...more] = parseRoutes([one], 'user');
    if (more.length > 0) throw new Error('names several ways; write one');
    return route;
  } catch (cause) {
    throw new ProxyError('no_route', cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** A program may be written in JavaScript. In the route hook a list in a list is a chain; here the list itself is one. */
function linkOf(link: unknown): string {
  if (!Array.isArray(link)) return String(link);
  throw new Error('has a list in a list: here a list is one chain of proxies, and there are no alternatives');
}

/** A program that says nothing about roots trusts what its machine trusts. */
function settingsOf(given: ConnectionOptions): TlsSettings {
  let settings: ConnectionOptions | undefined;
  return () => {
    settings ??= {
      ...given,
      secureContext: given.secureContext ?? createSecureContext({ ...given, ca: given.ca ?? [...machineRoots()] }),
    };
    return settings;
  };
}

/** A program goes where it likes. */
const allow = () => ({ verdict: 'allow', rule: 'asked by the program' }) as const;
const NO_GUARD: AddressGuard = { check: allow, checkConfigured: allow };
const scope = (signal: StopSignal): DialScope => ({
  id: 'via',
  signal,
  guard: NO_GUARD,
  observe: () => undefined,
  tap: undefined,
});

/** The stream alone; what came first is the first that it gives. */
async function given(connection: Connection): Promise<Duplex> {
  const { wire, early } = connection;
  if (!(wire instanceof StreamWire)) {
    connection[Symbol.dispose]();
    throw new ProxyError('internal', 'a connection that is no stream');
  }
  const stream = await wire.release();
  if (early.length > 0) stream.unshift(early);
  return stream;
}

/** Through a proxy these can only be about the proxy: it is not there. */
const NOT_THERE: ReadonlySet<FailureCode> = new Set(['dns_failed', 'refused', 'unroutable'] as const);
function withoutProxy(failure: ProxyError): ProxyError {
  if (!NOT_THERE.has(failure.code)) return failure;
  return new ProxyError('connect_failed', failure.detail, { cause: failure });
}
