import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Config } from './config/schema.ts';
import { type Clock, systemClock } from './core/clock.ts';
import type { Exporter, Observe } from './core/contracts.ts';
import { ProxyError } from './core/failure.ts';
import type { BookParts } from './credentials/book.ts';
import { type Brought, buildEngine, buildHall, type Engine } from './engine.ts';
import type { Lender } from './limits/lease.ts';
import { createLimits } from './limits/limits.ts';
import type { Http1Services } from './listeners/http1.ts';
import { ListenerSet, type PreparedListeners } from './listeners/listener-set.ts';
import { type AccessLog, accessLog } from './observe/access-log.ts';
import { hub } from './observe/hub.ts';
import { HEAD_LIMITS } from './protocol/head-buffer.ts';
import { bodyMover } from './relay/body.ts';
import { chooseLane } from './relay/choose.ts';
import type { Ticketing } from './upstream/auth/gssapi.ts';
import type { LogonTurns } from './upstream/auth/logons.ts';
import type { Lookup } from './upstream/resolver.ts';

/** Silence between two requests of a client. Browsers keep idle connections for minutes; each costs a descriptor. */
const KEEP_ALIVE_MS = 60_000;
/** Descriptors that are not for clients: listeners, logs, idle upstream connections, files. */
const FILES_RESERVED = 640;
/** Where the system does not say how many files may be open. */
const FILES_DEFAULT = 65_536;
/** Beyond this it is the memory of idle connections that runs out. */
const CONNECTIONS_MAX = 32_768;
const CONNECTIONS_MIN = 64;

export interface StartOptions {
  /** Rooms that a program brings instead of those of the configuration. */
  readonly brought?: Brought;
  /** Those who hear every event, besides the access log of the configuration. */
  readonly exporters?: readonly Exporter[];
  /** Told every head that passes; printing them costs, so only `explain` does. */
  readonly tap?: Observe;
  /** Resolves names instead of the system. */
  readonly lookup?: Lookup;
  readonly clock?: Clock;
  /** Where quotas are kept over a restart. Default: nowhere, unless `limits.state` names a file. */
  readonly stateDir?: string;
  /** Where passwords for upstream proxies come from. Default: wherever nobody has to be asked. */
  readonly credentials?: BookParts;
  /** Kerberos. Default: the system's. */
  readonly tickets?: Ticketing;
  /** Set where this process is one of several. */
  readonly one?: OneProxy;
}

/** What the processes of one proxy have in common. */
export interface OneProxy {
  /** Of the pseudonym in `Via`: a request that comes back to another process has come back to this proxy. */
  readonly suffix: string;
  /** Begins the ids of requests; of each process another one. */
  readonly idPrefix: string;
  /** Who owns the limits. */
  readonly lender: Lender;
  /** Who says whose turn it is to log on at an upstream proxy. */
  readonly logons: (key: string) => LogonTurns;
}

/** A configuration that is ready to be put in force: one of the two is called, once. */
export interface PreparedReload {
  commit(): Promise<void>;
  abandon(): Promise<void>;
}

export interface RunningProxy extends AsyncDisposable {
  /** The first listener, e.g. `http://127.0.0.1:3128`. */
  readonly url: string;
  readonly urls: readonly string[];
  /** Requests and tunnels that are open now. */
  readonly open: number;
  /** Takes another configuration, or rejects and changes nothing. Open requests go on. */
  reload(config: Config): Promise<void>;
  /** Does everything of a reload that may fail or wait. Rejects and changes nothing. */
  prepare(config: Config): Promise<PreparedReload>;
  /**
   * Accepts no more, waits up to `drainMs` for what is open, cuts the rest and says how many that were. Called again it
   * shortens the wait.
   */
  close(how: { readonly drainMs: number }): Promise<{ readonly cut: number }>;
}

/** Starts a proxy of a complete configuration. Rejects with a ListenError when an address cannot be listened on. */
export async function startProxy(config: Config, options: StartOptions = {}): Promise<RunningProxy> {
  const { clock = systemClock, brought = {}, one } = options;
  const events = hub(options.exporters ?? []);
  const limits = createLimits(config.limits, {
    clock,
    observe: events.observe,
    stateDir: options.stateDir,
    hook: brought.limit,
    lender: one?.lender,
  });
  const hall = buildHall({
    clock,
    observe: events.observe,
    tap: options.tap,
    lookup: options.lookup,
    limiter: limits,
    probe: (hops, signal) => rooms.probe(hops, signal),
    listeners: () => listeners.addresses,
    stateDir: options.stateDir,
    environment: process.env,
    suffix: one?.suffix,
    logons: one?.logons,
    trace: 'lookups',
    credentials: options.credentials,
    tickets: options.tickets,
  });
  let rooms: Engine = buildEngine(config, brought, hall);
  let stopping: 'no' | 'draining' = 'no';
  let requests = 0;
  const idPrefix = one?.idPrefix ?? randomBytes(3).toString('hex');
  // Limits of the listeners are read when a connection needs them, so that a reload reaches open ones as well.
  const services: Http1Services = {
    rooms: () => rooms,
    nextId: () => `${idPrefix}-${(++requests).toString(36)}`,
    draining: () => stopping === 'draining',
    clock,
    idle: hall.idle,
    bodies: bodyMover(hall.idle),
    headLimits: HEAD_LIMITS,
    get requestHeadMs() {
      return config.timeouts.requestHeadMs;
    },
    keepAliveMs: KEEP_ALIVE_MS,
  };
  const listeners = new ListenerSet({
    services,
    observe: events.observe,
    connectionsMax: connectionsMax(),
    sharing: one && 'port',
    lane: chooseLane(config.relay),
  });
  const openLog = ({ log: settings }: Config): AccessLog | undefined =>
    accessLog(settings, { stdout: process.stdout, clock, observe: events.observe, env: process.env });
  let log = openLog(config);
  let logging = log && events.add(log);
  try {
    const { serve } = await listeners.prepare(config.listen);
    serve();
    await hall.ways.follow(config.routes);
  } catch (error) {
    await hall[Symbol.asyncDispose]();
    await limits[Symbol.asyncDispose]();
    await events[Symbol.asyncDispose]();
    throw error;
  }

  const closing = new Closing(listeners, clock, async () => {
    await hall[Symbol.asyncDispose]();
    await limits[Symbol.asyncDispose]();
    await events[Symbol.asyncDispose]();
  });

  const running: RunningProxy = {
    get url() {
      return listeners.urls[0] ?? '';
    },
    get urls() {
      return listeners.urls;
    },
    get open() {
      return listeners.busy;
    },
    async reload(next) {
      const { commit } = await running.prepare(next);
      await commit();
    },
    async prepare(next) {
      // Whatever may fail, and whatever waits, comes first: nothing has changed yet.
      const nextRooms = buildEngine(next, brought, hall);
      const isSameLog = JSON.stringify(next.log) === JSON.stringify(config.log);
      const nextLog = isSameLog ? log : openLog(next);
      const closeLog = async () => {
        if (!isSameLog) await nextLog?.[Symbol.asyncDispose]();
      };
      let opened: PreparedListeners;
      try {
        opened = await listeners.prepare(next.listen);
      } catch (error) {
        await closeLog();
        throw error;
      }
      const commit = async () => {
        // In one turn: no request sees half of the one and half of the other.
        config = next;
        rooms = nextRooms;
        limits.update(next.limits);
        // Idle connections lead to addresses that the guard of before has judged.
        hall.pool.clear();
        opened.serve();
        const following = hall.ways.follow(next.routes);
        // The same log may have been moved away by whoever rotates logs.
        if (isSameLog) log?.reopen();
        else {
          const logged = logging;
          log = nextLog;
          logging = log && events.add(log);
          await logged?.[Symbol.asyncDispose]();
        }
        await following;
      };
      const abandon = async () => {
        opened.abandon();
        await closeLog();
      };
      return { commit, abandon };
    },
    close({ drainMs }) {
      stopping = 'draining';
      return closing.within(drainMs);
    },
    async [Symbol.asyncDispose]() {
      await running.close({ drainMs: 0 });
    },
  };
  return running;
}

/** The end of a proxy: begun once, and shortened by whoever asks again. */
class Closing {
  readonly #listeners: ListenerSet;
  readonly #clock: Clock;
  readonly #last: () => Promise<void>;
  #result: Promise<{ cut: number }> | undefined;
  #cut = 0;

  constructor(listeners: ListenerSet, clock: Clock, last: () => Promise<void>) {
    this.#listeners = listeners;
    this.#clock = clock;
    this.#last = last;
  }

  within(drainMs: number): Promise<{ cut: number }> {
    this.#result ??= this.#listeners
      .drained()
      .then(this.#last)
      .then(() => ({ cut: this.#cut }));
    const cut = () => {
      this.#cut += this.#listeners.cut(new ProxyError('cut', 'the proxy was stopped'));
    };
    if (drainMs <= 0) cut();
    else {
      const timer = this.#clock.after(drainMs, cut);
      void this.#result.finally(() => timer[Symbol.dispose]());
    }
    return this.#result;
  }
}

/** Every tunnel takes two descriptors: so many clients are accepted that dialling for them never runs out. */
function connectionsMax(): number {
  const fit = Math.floor((filesMax() - FILES_RESERVED) / 2);
  return Math.min(Math.max(fit, CONNECTIONS_MIN), CONNECTIONS_MAX);
}

function filesMax(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return soft === undefined ? FILES_DEFAULT : Number(soft);
  } catch {
    return FILES_DEFAULT;
  }
}
