import type { InheritedSockets } from '../clients/inherited-sockets.ts';
import { ListenerSet } from '../clients/listener-set.ts';
import { clientProtocols } from '../clients/protocols.ts';
import type { Config } from '../config/config.ts';
import type { Exporter, Observe } from '../contracts/event.ts';
import type { ModeState } from '../contracts/routing.ts';
import type { CredentialStoreDeps } from '../credentials/credential-store.ts';
import type { NonceCounter } from '../identity/nonce-counter.ts';
import { createLimits } from '../limits/limits.ts';
import { chooseBackend, type LimitsChannel } from '../limits/shared/choose-backend.ts';
import { openStore } from '../limits/store/open-store.ts';
import { repeatTable } from '../native/repeat-table.ts';
import { boundSilenceOfAll } from '../net/bound-silence.ts';
import { IdleWatch } from '../net/idle-watch.ts';
import { diagnosticsChannels } from '../observe/diagnostics-channels.ts';
import { hub } from '../observe/hub.ts';
import { LoopDelay } from '../observe/loop-delay.ts';
import type { RotateFile } from '../observe/rotate-file.ts';
import type { ListenAddress } from '../policy/listen-addresses.ts';
import { chooseSockets } from '../relay/choose-relay.ts';
import { Sessions } from '../sessions/sessions.ts';
import type { Lookup } from '../upstream/dial/resolver.ts';
import { IdlePool } from '../upstream/http/idle-pool.ts';
import { ignoredEnvironment } from '../upstream/tls/ignored-environment.ts';
import type { KerberosProvider } from '../upstream-auth/gssapi/gssapi.ts';
import type { LoginKey, LoginLimiter } from '../upstream-auth/login-attempt.ts';
import { type Clock, systemClock } from '../util/clock.ts';
import { DisposerStack } from '../util/disposer-stack.ts';
import { ActiveLog } from './active-log.ts';
import { ClientContext } from './client-context.ts';
import { connectionsMax, filesForRejected } from './descriptor-budget.ts';
import { noticeOfFailure } from './disposal-notice.ts';
import { createGeneration, type Overrides } from './generation.ts';
import { InForce } from './in-force.ts';
import { ProcessMeter } from './process-meter.ts';
import { Reloads } from './reload.ts';
import { type RunningProxy, StartedProxy } from './running-proxy.ts';
import { latchSharing } from './shared-latches.ts';
import { createSharedServices, type SharedServices } from './shared-services.ts';
import { Shutdown } from './shutdown.ts';
import { UnaccountedCheck } from './unaccounted.ts';

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
  /**
   * `repeat`: a CONNECT that was just decided about is not decided about again, where the configuration allows that; then its
   * events come when it is over, or after a moment. `clock` has to be the system's. Default: `each`.
   */
  readonly decisions?: 'repeat' | 'each';
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
  const sessions = new Sessions();
  const epollSockets = chooseSockets(config.relay);
  const isRepeating = options.decisions === 'repeat' && options.tap === undefined;
  const repeats = isRepeating && epollSockets !== undefined ? repeatTable() : undefined;
  const clients = new ClientContext({
    clock,
    idle,
    inForce,
    sessions,
    idPrefix: cluster?.idPrefix,
    repeatTable: repeats,
  });
  const forRejected = filesForRejected();
  const listeners = new ListenerSet({
    context: clients,
    protocolOf: clientProtocols(clients),
    observe,
    connectionsMax: connectionsMax(),
    rejectedMax: () => forRejected - pool.size,
    sharing: cluster && 'port',
    epollSockets,
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
    decisions: repeats === undefined ? 'each' : 'repeat',
  });
  parts.use('shared services', shared);
  parts.use(
    'decisions of another network',
    shared.pacService.onNewNetwork(() => clients.repeats?.forget()),
  );
  parts.use('configuration', inForce);
  if (cluster !== undefined) shared.mode.set(cluster.mode.mode, cluster.mode.untilMs);
  inForce.replace(config, await createGeneration(config, overrides, shared));
  const reloads = new Reloads({ overrides, shared, limits, log, listeners, inForce, clients });
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
