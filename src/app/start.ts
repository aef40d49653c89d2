import { randomBytes } from 'node:crypto';
import type { Modes, NamedRule, ShownAccount, Ways, WhyAnswer, WhyQuestion } from '../admin/controlled-proxy.ts';
import type { InheritedSockets } from '../clients/inherited-sockets.ts';
import { ListenerSet } from '../clients/listener-set.ts';
import type { Listen, SocketListen } from '../clients/options.ts';
import { clientProtocols } from '../clients/protocols.ts';
import type { Config } from '../config/config.ts';
import type { ReloadCause } from '../config/reload/reload.ts';
import type { DrainReport } from '../contracts/drain-report.ts';
import type { Exporter, Observe } from '../contracts/event.ts';
import type { ModeState, RouteMode } from '../contracts/routing.ts';
import type { CredentialStoreDeps } from '../credentials/credential-store.ts';
import type { NonceCounter } from '../identity/nonce-counter.ts';
import type { LimitState, StoreState } from '../limits/limit-state.ts';
import { createLimits, type Limits } from '../limits/limits.ts';
import { chooseBackend, type LimitsChannel } from '../limits/shared/choose-backend.ts';
import { openStore } from '../limits/store/open-store.ts';
import type { StoreLimits } from '../limits/store/store-limits.ts';
import { boundSilenceOfAll } from '../net/bound-silence.ts';
import { IdleWatch } from '../net/idle-watch.ts';
import { diagnosticsChannels } from '../observe/diagnostics-channels.ts';
import { hub } from '../observe/hub.ts';
import { LoopDelay } from '../observe/loop-delay.ts';
import type { ProcessMeasures } from '../observe/process-measures.ts';
import type { RotateFile } from '../observe/rotate-file.ts';
import type { ListenAddress } from '../policy/listen-addresses.ts';
import { namesOfRules } from '../policy/rules.ts';
import { chooseSockets } from '../relay/choose-relay.ts';
import { Sessions } from '../sessions/sessions.ts';
import type { Lookup } from '../upstream/dial/resolver.ts';
import { IdlePool } from '../upstream/http/idle-pool.ts';
import { ignoredEnvironment } from '../upstream/tls/ignored-environment.ts';
import type { KerberosProvider } from '../upstream-auth/gssapi/gssapi.ts';
import type { LoginKey, LoginLimiter } from '../upstream-auth/login-attempt.ts';
import { type Clock, systemClock } from '../util/clock.ts';
import { DisposerStack } from '../util/disposer-stack.ts';
import { accountsOf } from './accounts.ts';
import { ActiveLog } from './active-log.ts';
import { answerWhy } from './answer-why.ts';
import { ClientContext } from './client-context.ts';
import { connectionsMax, filesForRejected } from './descriptor-budget.ts';
import { noticeOfFailure } from './disposal-notice.ts';
import { createGeneration, type Overrides } from './generation.ts';
import { InForce } from './in-force.ts';
import { ProcessMeter } from './process-meter.ts';
import { type PreparedReload, Reloads } from './reload.ts';
import { modesIn } from './set-mode.ts';
import { latchSharing } from './shared-latches.ts';
import { createSharedServices, type SharedServices } from './shared-services.ts';
import { Shutdown } from './shutdown.ts';
import { UnaccountedCheck } from './unaccounted.ts';
import { waysOf } from './ways.ts';

export interface StartOptions {
  /** What a program brings beside or instead of what the configuration describes. */
  readonly overrides?: Overrides;
  /** They receive every event, as the access log of the configuration does. The proxy disposes them, also when it cannot start. */
  readonly exporters?: readonly Exporter[];
  /** Receives every head that passes; printing them costs, so only `explain` does. */
  readonly tap?: Observe;
  /** Resolves names instead of the system. */
  readonly lookup?: Lookup;
  readonly clock?: Clock;
  /** Where quotas are kept over a restart. Default: nowhere, unless `limits.state` names a file. */
  readonly stateDir?: string;
  /** Where passwords for upstream proxies come from. Default: every source that needs no person. */
  readonly credentials?: CredentialStoreDeps;
  /** Kerberos. Default: the system's. */
  readonly kerberos?: KerberosProvider;
  /** Addresses of this proxy besides its listeners, now: no route leads there. */
  readonly ownAddresses?: () => readonly ListenAddress[];
  /** Sockets that the service manager has opened. */
  readonly inherited?: InheritedSockets;
  /** Set where this process is one of several. */
  readonly cluster?: ClusterOptions;
}

/** What the processes of one proxy have in common. */
export interface ClusterOptions {
  /** Of the pseudonym in `Via`: a request that comes back to another process has come back to this proxy. */
  readonly suffix: string;
  /** Begins the ids of requests; each process has another one. */
  readonly idPrefix: string;
  /** To the primary, which owns the limits. */
  readonly limits: LimitsChannel;
  /** Lets requests of all processes log on at an upstream proxy one after another. */
  readonly logins: (key: LoginKey) => LoginLimiter;
  /** Counts the uses of Digest's nonces in all processes. */
  readonly nonces: NonceCounter;
  /** Moves a full log file away: all processes write the same one. */
  readonly rotateLog: RotateFile;
  /** Of the other processes. */
  readonly mode: ModeState;
}

export interface RunningProxy extends AsyncDisposable {
  /** The first listener, e.g. `http://127.0.0.1:3128`. */
  readonly url: string;
  readonly urls: readonly string[];
  /** The first listener; its port is the real one. */
  readonly listening: SocketListen | undefined;
  /** Requests and tunnels in progress, each until the client has taken the last byte of its response. */
  readonly open: number;
  /** The requests and tunnels in progress in this process, and the records of those that ended last. */
  readonly sessions: Pick<Sessions, 'snapshot' | 'find' | 'ended' | 'end' | 'endAll' | 'endedAfter' | 'endedCount'>;
  /** Every limit, with what is counted under it. */
  limits(): Promise<readonly LimitState[]>;
  /** The store that this process shares its limits through by a connection of its own. */
  readonly limitStore: StoreState | undefined;
  /** Sets the rate (bytes per second) of a bandwidth limit until the next reload. `false`: no limit of this name has a rate. */
  setRate(limit: string, rate: number): boolean;
  /** Upstream proxies and PAC. */
  ways(): Ways;
  /** What this process uses, and what is open in it without an owner. */
  measure(): Promise<ProcessMeasures>;
  /** Our accounts at upstream proxies. */
  accounts(): Promise<readonly ShownAccount[]>;
  /** The first rules of each kind, in order. */
  readonly rules: readonly NamedRule[];
  modes(): Modes;
  /** As ControlledProxy.setMode. */
  setMode(mode: RouteMode, untilMs: number | undefined): void;
  /** What would be decided about a URL. */
  why(question: WhyQuestion): Promise<WhyAnswer>;
  /**
   * Takes another configuration, or rejects and changes nothing. Open requests go on with the configuration in which they
   * began. `requested`, the default: a person or a program asks for it, and secrets that upstream proxies have rejected
   * may be tried again.
   */
  reload(config: Config, cause?: ReloadCause): Promise<void>;
  /** After the log file was moved away: goes on in a new one of the same name. */
  reopenLog(): void;
  /** Does everything of a reload that may fail or wait. Rejects and changes nothing. */
  prepare(config: Config): Promise<PreparedReload>;
  /** The same for other addresses alone: those of bridges come and go. */
  prepareListeners(listen: readonly Listen[]): Promise<PreparedReload>;
  /**
   * Accepts no more, closes idle connections, waits up to `drainMs` for open requests and aborts the rest. A further call can
   * only shorten the wait.
   */
  close(how: { readonly drainMs: number }): Promise<DrainReport>;
}

/**
 * Starts a proxy of a complete configuration, and resolves when it serves: its listeners are open before, and clients that
 * connect wait until the PAC was read or the time for that is over. Rejects with a ListenError when an address cannot be
 * listened on. A start that fails closes all that it has opened.
 */
export async function startProxy(config: Config, options: StartOptions = {}): Promise<RunningProxy> {
  const { clock = systemClock, overrides = {}, cluster } = options;
  const events = hub([...(options.exporters ?? []), diagnosticsChannels()]);
  const { observe } = events;
  await using parts = new DisposerStack(noticeOfFailure(observe));
  parts.use('exporters', events);
  const log = new ActiveLog(events, config.log, {
    get stdout() {
      return process.stdout;
    },
    clock,
    observe,
    env: process.env,
    rotate: cluster?.rotateLog,
  });
  // Workers share the connection of their primary.
  const store =
    cluster === undefined
      ? openStore(config.limits, { clock, observe, environment: process.env, client: overrides.limitStore })
      : undefined;
  const limits = createLimits(config.limits, {
    clock,
    observe,
    stateDir: options.stateDir,
    hook: overrides.limit,
    backend: chooseBackend({ primary: cluster?.limits, store, deps: { clock, observe } }),
  });
  parts.use('limits', limits);
  boundSilenceOfAll();
  const idle = new IdleWatch(clock);
  const pool = new IdlePool(clock);
  const inForce = new InForce(config, clock);
  const idPrefix = cluster?.idPrefix ?? randomBytes(3).toString('hex');
  const sessions = new Sessions();
  const clients = new ClientContext({ clock, idle, inForce, sessions, idPrefix });
  const forRejected = filesForRejected();
  const listeners = new ListenerSet({
    context: clients,
    protocolOf: clientProtocols(clients),
    observe,
    connectionsMax: connectionsMax(),
    rejectedMax: () => forRejected - pool.size,
    sharing: cluster && 'port',
    epollSockets: chooseSockets(config.relay),
    inherited: options.inherited,
  });
  const shared = createSharedServices({
    clock,
    observe,
    tap: options.tap,
    lookup: options.lookup,
    limiter: limits,
    probe: inForce.probe,
    secure: inForce.secure,
    listeners: () => [...listeners.addresses, ...(options.ownAddresses?.() ?? [])],
    listenSettings: (url) => listeners.settingsOf(url),
    stateDir: options.stateDir,
    environment: process.env,
    suffix: cluster?.suffix,
    logins: cluster?.logins,
    nonces: cluster?.nonces,
    trace: 'lookups',
    credentials: options.credentials,
    latchSharing: latchSharing(config.limits, store, process.env),
    kerberos: options.kerberos,
    idle,
    pool,
  });
  parts.use('shared services', shared);
  parts.use('configuration', inForce);
  if (cluster !== undefined) shared.mode.set(cluster.mode.mode, cluster.mode.untilMs);
  inForce.replace(config, await createGeneration(config, overrides, shared));
  const reloads = new Reloads({ overrides, shared, limits, log, listeners, inForce });
  for (const message of ignoredEnvironment(process.env)) observe({ type: 'notice', level: 'warn', message });
  await open(listeners, config, shared);
  for (const socket of options.inherited?.untaken ?? [])
    observe({
      type: 'notice',
      level: 'warn',
      message: `systemd has passed ${socket}, and no listener takes it; add it to listen, or run \`viaduct service install\` again`,
    });
  const unaccounted = parts.use('unaccounted', new UnaccountedCheck({ sessions, limits, listeners, shared }));
  const delay = parts.use('event loop delay', new LoopDelay(clock));
  const meter = new ProcessMeter({ unaccounted, sessions, delay, clock });
  const shutdown = new Shutdown({ listeners, sessions }, clock, parts.move());
  const routesBy = overrides.router === undefined ? 'routes' : 'hook';
  const own = { listeners, sessions, limits, store, shared, inForce, reloads, clients, shutdown, log };
  return new StartedProxy({ ...own, meter, routesBy });
}

/** Clients that connect before the PAC was read wait: their requests would go by another route. */
async function open(
  listeners: ListenerSet,
  { listen, routes, upstreams }: Config,
  shared: SharedServices,
): Promise<void> {
  await using opening = new DisposerStack(noticeOfFailure(shared.observe));
  const opened = await listeners.prepare(listen);
  opening.defer('listeners', opened.abandon);
  await shared.pacService.configure(routes, upstreams);
  opened.serve();
  opening.move();
}

/** Rules that are listed: of more no one reads the list. */
const RULES_SHOWN_MAX = 1_024;

export const rulesOf = ({ access, routes }: Config): readonly NamedRule[] => [
  ...namesOfRules(access, RULES_SHOWN_MAX).map(({ name, verdict, effect }): NamedRule => {
    return { name, verdict, kind: effect === 'decide' ? 'access' : 'report' };
  }),
  ...routes.rules.slice(0, RULES_SHOWN_MAX).map(({ name }): NamedRule => ({ name, kind: 'route' })),
];

interface StartedProxyDeps {
  readonly listeners: ListenerSet;
  readonly sessions: Sessions;
  readonly limits: Limits;
  readonly store: StoreLimits | undefined;
  readonly shared: SharedServices;
  readonly inForce: InForce;
  readonly reloads: Reloads;
  readonly clients: ClientContext;
  readonly shutdown: Shutdown;
  readonly log: ActiveLog;
  readonly meter: ProcessMeter;
  readonly routesBy: 'routes' | 'hook';
}

class StartedProxy implements RunningProxy {
  readonly #deps: StartedProxyDeps;

  constructor(parts: StartedProxyDeps) {
    this.#deps = parts;
  }

  get url(): string {
    return this.urls[0] ?? '';
  }

  get urls(): readonly string[] {
    return this.#deps.listeners.urls;
  }

  get listening(): SocketListen | undefined {
    return this.#deps.listeners.first;
  }

  get sessions(): RunningProxy['sessions'] {
    return this.#deps.sessions;
  }

  get limitStore(): StoreState | undefined {
    return this.#deps.store?.state;
  }

  limits(): Promise<readonly LimitState[]> {
    return this.#deps.limits.describe();
  }

  readonly setRate = (limit: string, rate: number): boolean => this.#deps.limits.setRate(limit, rate);

  readonly ways = (): Ways => waysOf(this.#deps.shared);

  readonly measure = (): Promise<ProcessMeasures> => this.#deps.meter.measure();
  readonly accounts = (): Promise<readonly ShownAccount[]> => {
    const { shared, inForce } = this.#deps;
    return accountsOf(inForce.config, shared.health.known(), inForce.services.accounts);
  };

  get rules(): readonly NamedRule[] {
    return rulesOf(this.#deps.inForce.config);
  }

  readonly modes = (): Modes => {
    const { shared, inForce, routesBy } = this.#deps;
    return modesIn(shared.mode, inForce.config, routesBy);
  };

  readonly setMode = (mode: RouteMode, untilMs: number | undefined): void => {
    const { shared } = this.#deps;
    shared.mode.set(mode, untilMs);
    shared.upstreamAuth.authCache.retryLogins();
  };

  readonly why = (question: WhyQuestion): Promise<WhyAnswer> =>
    answerWhy(question, question.listener ?? this.url, this.#deps.inForce.services);

  get open(): number {
    return this.#deps.listeners.active;
  }

  reload(config: Config, cause: ReloadCause = 'requested'): Promise<void> {
    return this.#deps.reloads.reload(config, cause);
  }

  reopenLog(): void {
    this.#deps.log.reopen();
  }

  prepare(config: Config): Promise<PreparedReload> {
    return this.#deps.reloads.prepare(config);
  }

  prepareListeners(listen: readonly Listen[]): Promise<PreparedReload> {
    return this.#deps.reloads.prepareListeners(listen);
  }

  close({ drainMs }: { readonly drainMs: number }): Promise<DrainReport> {
    this.#deps.reloads.stop();
    this.#deps.clients.drain();
    return this.#deps.shutdown.within(drainMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close({ drainMs: 0 });
  }
}
