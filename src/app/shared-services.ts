import { randomBytes } from 'node:crypto';
import type { ListenSettings } from '../clients/options.ts';
import type { SecureHop } from '../contracts/dialing.ts';
import type { Observe } from '../contracts/event.ts';
import { ProxyError } from '../contracts/failure.ts';
import type { Limiter } from '../contracts/limits.ts';
import type { CredentialStoreDeps } from '../credentials/credential-store.ts';
import { defaultSources } from '../credentials/default-sources.ts';
import { type KerberosAcceptor, systemAcceptor } from '../gssapi/acceptor.ts';
import { DigestNonces } from '../identity/digest-nonces.ts';
import { Logins } from '../identity/logins.ts';
import { LocalNonceCounter, type NonceCounter } from '../identity/nonce-counter.ts';
import { IdleWatch } from '../net/idle-watch.ts';
import { type ListenAddress, type ListenAddresses, listenAddresses } from '../policy/listen-addresses.ts';
import { ModeSwitch } from '../routing/mode-switch.ts';
import { DialledConnections } from '../upstream/dial/dialled-connections.ts';
import { lookupThreads } from '../upstream/dial/lookup-shares.ts';
import { type CachingResolver, cachingResolver, type Lookup } from '../upstream/dial/resolver.ts';
import type { Probe } from '../upstream/health/probe.ts';
import { ProxyHealth } from '../upstream/health/proxy-health.ts';
import { IdlePool } from '../upstream/http/idle-pool.ts';
import { UpstreamSessions } from '../upstream/http2/session-pool.ts';
import { type KerberosProvider, systemKerberos } from '../upstream-auth/gssapi/gssapi.ts';
import { LatchFile } from '../upstream-auth/latch-file.ts';
import type { LoginKey, LoginLimiter } from '../upstream-auth/login-attempt.ts';
import { ProxyAuthCache } from '../upstream-auth/proxy-auth-cache.ts';
import { type SspiProvider, systemSspi } from '../upstream-auth/sspi/sspi.ts';
import type { Clock } from '../util/clock.ts';
import { DisposerStack } from '../util/disposer-stack.ts';
import { noticeOfFailure } from './disposal-notice.ts';
import { createPacService, type PacService } from './pac-service.ts';
import type { LatchSharing } from './shared-latches.ts';

/** What outlives a reload: the caches, pools and watches that all generations of one proxy share. */
export interface SharedServices extends AsyncDisposable {
  readonly clock: Clock;
  readonly idle: IdleWatch;
  readonly pool: IdlePool;
  /** Connections to upstream proxies that carry several tunnels. */
  readonly sessions: UpstreamSessions;
  readonly health: ProxyHealth;
  readonly resolver: CachingResolver;
  /** Connections to targets and upstream proxies. */
  readonly dialled: DialledConnections;
  readonly listenAddresses: ListenAddresses;
  readonly upstreamAuth: UpstreamAuthServices;
  /** Which passwords of clients were right, and the comparisons that wait for their turn. */
  readonly logins: Logins;
  /** Whose Kerberos tickets our clients send. */
  readonly acceptor: KerberosAcceptor;
  readonly listenSettings: (url: string) => ListenSettings | undefined;
  /** Of Digest, as our clients use them. */
  readonly nonces: DigestNonces;
  readonly pacService: PacService;
  /** What a person has put in the place of the PAC and of the configured proxies. */
  readonly mode: ModeSwitch;
  readonly limiter: Limiter;
  readonly observe: Observe;
  readonly tap: Observe | undefined;
  /** Random suffix of our pseudonym in `Via`. */
  readonly suffix: string;
  /** Whether a decision may be repeated where it would be the same. */
  readonly decisions: 'repeat' | 'each';
}

/** Our accounts at upstream proxies, and what was learned of these proxies. */
export interface UpstreamAuthServices {
  readonly sources: CredentialStoreDeps;
  readonly authCache: ProxyAuthCache;
  readonly kerberos: KerberosProvider;
  readonly sspi: SspiProvider | undefined;
}

export interface SharedServicesOptions {
  readonly clock: Clock;
  readonly observe: Observe;
  readonly tap: Observe | undefined;
  readonly lookup: Lookup | undefined;
  readonly limiter: Limiter;
  /** Probes proxies with the settings of the configuration in force. Absent where nothing is sent. */
  readonly probe?: Probe;
  /** TLS with the servers of PACs, with the settings of the configuration in force. */
  readonly secure: SecureHop;
  /** The addresses of the listeners that are open at the time of the call. */
  readonly listeners: () => readonly ListenAddress[];
  /** What is set of the listener with this URL. */
  readonly listenSettings?: (url: string) => ListenSettings | undefined;
  readonly stateDir: string | undefined;
  readonly environment: NodeJS.ProcessEnv;
  /** Where passwords come from. Default: every source that needs no person. */
  readonly credentials?: CredentialStoreDeps | undefined;
  /** Default: the system's Kerberos. */
  readonly kerberos?: KerberosProvider | undefined;
  /** Default: rejected passwords are shared with no other instance. */
  readonly latchSharing?: LatchSharing | undefined;
  /** Lets requests log on at an upstream proxy one after another. Default: those of this process. */
  readonly logins?: ((key: LoginKey) => LoginLimiter) | undefined;
  /** Counts the uses of Digest's nonces. Default: those of this process. */
  readonly nonces?: NonceCounter | undefined;
  /** Suffix of our pseudonym in `Via`. Default: a random one. */
  readonly suffix?: string | undefined;
  /** Which helper calls of a PAC are part of a routing. */
  readonly trace: 'calls' | 'lookups';
  /** Watches client connections, too, so that one timer serves all. Default: a new one. */
  readonly idle?: IdleWatch;
  /** Its size is part of the descriptor budget. Default: a new one. */
  readonly pool?: IdlePool;
  /** Default: `each`. */
  readonly decisions?: 'repeat' | 'each';
}

/** Suffix of a pseudonym in `Via`: it distinguishes this proxy from all others, so that a loop is recognised. */
export const randomSuffix = (): string => randomBytes(6).toString('hex');

/** Concurrent calls of a program's `lookup`: as many as the command has threads for. */
const LOOKUPS_OF_PROGRAM = 64;

const noProbe: Probe = () => Promise.reject(new ProxyError('internal', 'this process sends no probes'));

/** Disposing ends every watch and closes the idle connections. */
export function createSharedServices(options: SharedServicesOptions): SharedServices {
  const { clock, observe, tap, lookup, limiter, probe = noProbe, secure, stateDir, environment, trace } = options;
  const { idle = new IdleWatch(clock), pool = new IdlePool(clock) } = options;
  const { latchSharing } = options;
  const sources = options.credentials ?? defaultSources(clock, environment);
  const credentials = latchSharing ? { ...sources, idKey: () => latchSharing.idKey } : sources;
  const { kerberos: tickets = systemKerberos({ clock, platform: process.platform }) } = options;
  const threads = lookup === undefined ? lookupThreads(environment.UV_THREADPOOL_SIZE) : LOOKUPS_OF_PROGRAM;
  const resolver = cachingResolver(clock, lookup, threads);
  const addresses = listenAddresses(options.listeners, clock);
  const ownLatches = stateDir === undefined ? undefined : new LatchFile(stateDir);
  const memory = new ProxyAuthCache(clock, {
    limiterFor: options.logins,
    latches: latchSharing?.latches(ownLatches) ?? ownLatches,
  });
  // Random numbers are made when they are first needed: node:crypto takes a tenth of the time of a start to load.
  let { suffix } = options;
  let logins: Logins | undefined;
  let nonces: DigestNonces | undefined;
  const parts = new DisposerStack(noticeOfFailure(observe));
  // The PAC service comes last: it starts a timer, and a failure behind it would leave that running.
  const pacService = createPacService({
    clock,
    observe,
    resolver,
    listenAddresses: addresses,
    secure,
    stateDir,
    environment,
    trace,
  });
  parts.use('PAC service', pacService);
  const mode = parts.use('mode', new ModeSwitch({ clock, observe }));
  const health = parts.use('health of upstream proxies', new ProxyHealth({ clock, observe, probe }));
  const sessions = new UpstreamSessions(idle);
  parts.defer('idle connections', () => {
    pool.clear();
    sessions[Symbol.dispose]();
  });
  // What was learned of one network does not hold in the next, and idle connections of the old one lead nowhere.
  const watching = pacService.onNewNetwork(() => {
    resolver.forget();
    health.renew();
    pool.clear();
    sessions.clear();
  });
  parts.use('network watch', watching);
  const services: SharedServices = {
    clock,
    observe,
    tap,
    limiter,
    resolver,
    dialled: new DialledConnections(),
    listenAddresses: addresses,
    upstreamAuth: {
      sources: credentials,
      authCache: memory,
      kerberos: tickets,
      sspi: systemSspi({ clock, platform: process.platform }),
    },
    get logins() {
      logins ??= new Logins(clock);
      return logins;
    },
    acceptor: systemAcceptor({ clock, platform: process.platform }),
    listenSettings: options.listenSettings ?? (() => undefined),
    get nonces() {
      nonces ??= new DigestNonces({
        key: credentials.idKey?.() ?? randomBytes(32),
        run: services.suffix,
        clock,
        counter: options.nonces ?? new LocalNonceCounter(),
      });
      return nonces;
    },
    pool,
    sessions,
    health,
    pacService,
    mode,
    idle,
    get suffix() {
      suffix ??= randomSuffix();
      return suffix;
    },
    decisions: options.decisions ?? 'each',
    [Symbol.asyncDispose]: () => parts[Symbol.asyncDispose](),
  };
  return services;
}
