import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Config } from './config/schema.ts';
import type { Clock } from './core/clock.ts';
import type { Authenticator, Limiter, Observe, Policy, Router } from './core/contracts.ts';
import { ProxyError } from './core/failure.ts';
import { type BookParts, credentialBook } from './credentials/book.ts';
import { unattendedSources } from './credentials/unattended.ts';
import { clientAuthenticator } from './identity/clients.ts';
import { loadUsers } from './identity/htpasswd.ts';
import type { LimitHook } from './limits/hook.ts';
import { isExposed } from './listeners/options.ts';
import { wrappedPac } from './pac/wrapper.ts';
import type { ProxyIdentity, Rooms } from './pipeline/rooms.ts';
import { addressGuard } from './policy/address-guard.ts';
import { policyChain } from './policy/chain.ts';
import type { Exposure } from './policy/options.ts';
import { type OwnAddresses, type OwnListener, ownAddresses } from './policy/own-addresses.ts';
import { accessPolicy } from './policy/rules.ts';
import { HEAD_LIMITS } from './protocol/head-buffer.ts';
import { bodyMover } from './relay/body.ts';
import { chooseLane, chooseRelay } from './relay/choose.ts';
import { IdleWatch } from './relay/idle-watch.ts';
import { routerOf } from './routing/chain.ts';
import { systemTicketing, type Ticketing } from './upstream/auth/gssapi.ts';
import type { LogonTurns } from './upstream/auth/logons.ts';
import { AuthMemory } from './upstream/auth/memory.ts';
import { workstationName } from './upstream/auth/ntlm.ts';
import { UpstreamAuth } from './upstream/auth/upstream-auth.ts';
import { RouteConnector } from './upstream/connector.ts';
import { RouteExchange } from './upstream/exchange.ts';
import { Failover } from './upstream/failover.ts';
import { ProxyHealth } from './upstream/health.ts';
import { IdlePool } from './upstream/pool.ts';
import { type Probe, pathProbe } from './upstream/probe.ts';
import { allPaths } from './upstream/registry.ts';
import { type CachingResolver, cachingResolver, type Lookup } from './upstream/resolver.ts';
import { laneTcp, openTcp } from './upstream/tcp.ts';
import { tlsSettings } from './upstream/trust.ts';
import { findWays, type Wayfinding } from './wayfinding.ts';

/** What outlives a reload: caches, pools and watches that every engine of one proxy shares. */
export interface Hall extends AsyncDisposable {
  readonly clock: Clock;
  readonly idle: IdleWatch;
  readonly pool: IdlePool;
  readonly health: ProxyHealth;
  readonly resolver: CachingResolver;
  readonly own: OwnAddresses;
  readonly upstreamAccounts: UpstreamAccounts;
  readonly ways: Wayfinding;
  readonly limiter: Limiter;
  readonly observe: Observe;
  readonly tap: Observe | undefined;
  /** Random suffix of our pseudonym in `Via`. */
  readonly suffix: string;
}

/** Who we are at upstream proxies, and what was learned of them. */
export interface UpstreamAccounts {
  readonly sources: BookParts;
  readonly memory: AuthMemory;
  readonly tickets: Ticketing;
}

/** Rooms that a program which embeds the proxy brings instead of those of the configuration. */
export interface Brought {
  /** Asked after `clients.users`, when nobody there was recognised. */
  readonly authenticator?: Authenticator | undefined;
  /** Asked after the rules of the configuration have allowed a request. */
  readonly policy?: Policy | undefined;
  readonly router?: Router | undefined;
  /** Asked when the limits of the configuration have let a request in. */
  readonly limit?: LimitHook | undefined;
}

const authenticatorOf = ({ clients }: Config, { authenticator }: Brought, clock: Clock): Authenticator =>
  clientAuthenticator(
    {
      allow: clients.allow,
      users: clients.users === undefined ? undefined : loadUsers(clients.users),
      others: authenticator === undefined ? [] : [authenticator],
    },
    clock,
  );

export interface HallOptions {
  readonly clock: Clock;
  readonly observe: Observe;
  readonly tap: Observe | undefined;
  readonly lookup: Lookup | undefined;
  readonly limiter: Limiter;
  /** Asks proxies as the configuration of now would. Absent where nothing is sent. */
  readonly probe?: Probe;
  /** Where this proxy listens right now. */
  readonly listeners: () => readonly OwnListener[];
  readonly stateDir: string | undefined;
  readonly environment: NodeJS.ProcessEnv;
  /** Where passwords come from. Default: wherever nobody has to be asked. */
  readonly credentials?: BookParts | undefined;
  /** Default: the system's Kerberos. */
  readonly tickets?: Ticketing | undefined;
  /** Who says whose turn it is to log on at an upstream proxy. Default: this process. */
  readonly logons?: ((key: string) => LogonTurns) | undefined;
  /** Of our pseudonym in `Via`. Default: a random one. */
  readonly suffix?: string | undefined;
  /** Which calls of a PAC's helpers are told. */
  readonly trace: 'calls' | 'lookups';
}

/** It tells this proxy from all others in `Via`. */
export const randomSuffix = (): string => randomBytes(6).toString('hex');

const nobody: Probe = () => Promise.reject(new ProxyError('internal', 'there is no probe'));

/** Disposing it ends what it watches; pools are cleared. */
export function buildHall(options: HallOptions): Hall {
  const { clock, observe, tap, lookup, limiter, probe = nobody, listeners, stateDir, environment, trace } = options;
  const { credentials = unattendedSources(clock, environment) } = options;
  const { tickets = systemTicketing({ clock, platform: process.platform }) } = options;
  const resolver = cachingResolver(clock, lookup);
  const own = ownAddresses(listeners, clock);
  const pool = new IdlePool(clock);
  const health = new ProxyHealth({ clock, observe, probe });
  const ways = findWays({ clock, observe, resolver, own, stateDir, environment, trace });
  // What was learned of one network says nothing about the next, and connections of the old one lead nowhere.
  const watching = ways.onNewNetwork(() => {
    resolver.forget();
    health.renew();
    pool.clear();
  });
  return {
    clock,
    observe,
    tap,
    limiter,
    resolver,
    own,
    upstreamAccounts: { sources: credentials, memory: new AuthMemory(clock, options.logons), tickets },
    pool,
    health,
    ways,
    idle: new IdleWatch(clock),
    suffix: options.suffix ?? randomSuffix(),
    async [Symbol.asyncDispose]() {
      watching[Symbol.dispose]();
      pool.clear();
      health[Symbol.dispose]();
      await ways[Symbol.asyncDispose]();
    },
  };
}

export interface Engine extends Rooms {
  readonly probe: Probe;
}

/** One immutable wiring of all rooms from one configuration. A reload builds the next one and swaps a reference. */
export function buildEngine(config: Config, brought: Brought, hall: Hall): Engine {
  const { clock, observe, tap } = hall;
  const { timeouts } = config;
  const exposure: Exposure = config.listen.some(isExposed) ? 'exposed' : 'local';
  const rules = accessPolicy(config.access, { exposure, clock });
  const { connectMs, headMs } = timeouts;
  const { sources, memory, tickets } = hall.upstreamAccounts;
  const auth = new UpstreamAuth({
    book: credentialBook({ ...config.credentials, upstreams: config.upstreams }, sources),
    memory,
    tickets,
    workstation: workstationName(hostname()),
    clock,
  });
  const tls = tlsSettings(config.upstreams);
  const lane = chooseLane(config.relay);
  const open = lane === undefined ? openTcp : laneTcp(lane);
  const paths = allPaths({ resolver: hall.resolver, clock, connectMs, headMs, tls, auth, open });
  const failover = new Failover(hall.health, clock);
  const guard = addressGuard(config.guard, exposure, hall.own);
  const identity: ProxyIdentity = { name: config.name, pseudonym: `${config.name}-${hall.suffix}` };
  return {
    authenticator: authenticatorOf(config, brought, clock),
    policy: brought.policy === undefined ? rules : policyChain([rules, brought.policy]),
    guard,
    limiter: hall.limiter,
    router: brought.router ?? routerOf(config.routes, config.routes.pac === 'none' ? undefined : hall.ways.router),
    connector: new RouteConnector(paths, failover),
    resolver: hall.resolver,
    exchange: new RouteExchange({ paths, failover, auth, pool: hall.pool, limits: HEAD_LIMITS, headMs }),
    relay: chooseRelay(config.relay, hall.idle, clock),
    bodies: bodyMover(hall.idle),
    clock,
    observe,
    tap,
    identity,
    pages: { isOurs: hall.own.isThisMachine, pac: (proxy) => wrappedPac(hall.ways.state, proxy) },
    health: hall.health,
    accounts: auth,
    probe: pathProbe(paths, guard),
    times: { requestBodyMs: timeouts.requestBodyMs, idleMs: timeouts.idleMs, lingerMs: timeouts.lingerMs },
  };
}
