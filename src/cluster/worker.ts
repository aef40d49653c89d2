import type { PreparedReload } from '../app/reload.ts';
import type { RunningProxy } from '../app/running-proxy.ts';
import { startProxy } from '../app/start.ts';
import type { Config } from '../config/config.ts';
import { Unpacker } from '../config/reload/parcels.ts';
import type { DrainReport } from '../contracts/drain-report.ts';
import type { Exporter } from '../contracts/event.ts';
import type { CredentialStoreDeps } from '../credentials/credential-store.ts';
import type { ToLimitsClient } from '../limits/shared/messages.ts';
import { LoopDelay } from '../observe/loop-delay.ts';
import { RequestCounter } from '../observe/request-counter.ts';
import { RequestSteps } from '../observe/request-steps.ts';
import { TrafficTotals } from '../observe/traffic-totals.ts';
import { systemClock } from '../util/clock.ts';
import type { LiveQuery } from './live-messages.ts';
import { LogRotationClient } from './log-rotation.ts';
import { LoginClient } from './login-client.ts';
import {
  type FromWorker,
  isToWorker,
  type Membership,
  type Settings,
  sentError,
  type WorkerRequest,
} from './messages.ts';
import { NonceClient } from './nonce-counting.ts';
import { type AskedWorker, respondLive } from './respond-live.ts';

/** The channel to the primary: `process`, except in tests. */
export interface Channel {
  send?(message: FromWorker, done?: (error: Error | null) => void): boolean;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  on(event: 'disconnect', listener: () => void): unknown;
}

export interface WorkerOptions {
  readonly channel: Channel;
  readonly stateDir: string;
  readonly exporters: readonly Exporter[];
  /** Called when another configuration is in force. */
  readonly onReloaded: () => void;
  credentials(member: Membership, idKey: () => Buffer): CredentialStoreDeps;
}

/** Serves as one of several processes of a proxy, until the primary closes it or ends. Resolves with the exit code. */
export function serveAsWorker(options: WorkerOptions): Promise<number> {
  const { channel } = options;
  return new Promise((resolve) => {
    const worker = new Worker(options, resolve);
    channel.on('message', (message) => worker.receive(message));
    // Without its primary the worker would neither be replaced nor stopped, and would keep the port from the next start.
    channel.on('disconnect', () => void worker.onDisconnect());
    worker.send({ type: 'loaded' });
  });
}

class Worker {
  readonly #options: WorkerOptions;
  readonly #exit: (code: number) => void;
  readonly #loginClient: LoginClient;
  readonly #nonces: NonceClient;
  /** Set when the proxy is started. */
  #receiveLimits: (messages: readonly ToLimitsClient[]) => void = () => undefined;
  readonly #logRotation: LogRotationClient;
  #idKey = Buffer.alloc(0);
  readonly #counter = new RequestCounter(systemClock);
  readonly #steps = new RequestSteps(systemClock);
  readonly #totals = new TrafficTotals(systemClock);
  readonly #delay = new LoopDelay(systemClock);
  readonly #unpacking = new Unpacker();
  #received: Config | undefined;
  #proxy: RunningProxy | undefined;
  #prepared: PreparedReload | undefined;
  #drained: DrainReport | undefined;

  constructor(options: WorkerOptions, exit: (code: number) => void) {
    this.#options = options;
    this.#exit = exit;
    this.#loginClient = new LoginClient(systemClock, (request) => this.send({ type: 'login', request }));
    this.#nonces = new NonceClient(systemClock, (request) => this.send({ type: 'use-nonce', request }));
    this.#logRotation = new LogRotationClient(systemClock, (request) => this.send({ type: 'fill-log', request }));
  }

  send(message: FromWorker, done?: () => void): void {
    // A closed channel is noticed by `disconnect`.
    this.#options.channel.send?.(message, () => done?.());
  }

  receive(message: unknown): void {
    if (!isToWorker(message)) return;
    if (message.type === 'limits') return this.#receiveLimits(message.messages);
    if (message.type === 'login') return this.#loginClient.receive(message.response);
    if (message.type === 'nonce-used') return this.#nonces.receive(message.response);
    if (message.type === 'live') return this.#respondLive(message.request);
    if (message.type === 'rotated') return this.#logRotation.receive(message.result);
    const { requestId } = message;
    this.#execute(message).then(
      (value) =>
        this.send(
          { type: 'response', requestId, value, ...this.#drainedPart },
          () => message.type === 'close' && this.#exit(0),
        ),
      (error) => this.send({ type: 'failed', requestId, error: sentError(error) }),
    );
  }

  /** A worker that has not started has no requests; the primary leaves it out. */
  #respondLive(query: LiveQuery): void {
    if (this.#proxy === undefined) return;
    const { sessions, setRate, setMode, why, ways, accounts, measure } = this.#proxy;
    const { counts } = this.#counter;
    const asked: AskedWorker = {
      ...{ sessions, setRate, setMode, why, ways, accounts, measure, counts },
      steps: (id) => this.#steps.of(id),
      totals: (by, window) => this.#totals.read(by, window),
      readDelayMs: () => this.#delay.readMs(),
    };
    // A query without a response is given up in the primary.
    respondLive(query, asked).then(
      (response) => this.send({ type: 'live', response }),
      () => undefined,
    );
  }

  async onDisconnect(): Promise<void> {
    await this.#proxy?.close({ drainMs: 0 });
    this.#exit(1);
  }

  async #execute(request: WorkerRequest): Promise<number> {
    switch (request.type) {
      case 'take':
        this.#received = this.#unpacking.add(request.parcel);
        return 0;
      case 'start':
        this.#proxy = await this.#start(request);
        this.#followSessions(this.#proxy);
        return 0;
      case 'prepare':
        this.#idKey = Buffer.from(request.idKey, 'base64');
        this.#prepared = await this.#proxy?.prepare(this.#configWith(request));
        return 0;
      case 'prepare-listeners':
        this.#prepared = await this.#proxy?.prepareListeners(request.listen);
        return 0;
      case 'commit':
        await this.#prepared?.commit();
        this.#prepared = undefined;
        this.#options.onReloaded();
        return 0;
      case 'abandon':
        await this.#prepared?.abandon();
        this.#prepared = undefined;
        return 0;
      case 'reopen-log':
        this.#proxy?.reopenLog();
        return 0;
      case 'count':
        return this.#proxy?.open ?? 0;
      case 'close':
        this.#drained = await this.#proxy?.close({ drainMs: request.drainMs });
        return 0;
    }
  }

  #followSessions({ sessions }: RunningProxy): void {
    this.#totals.follow(() => sessions.snapshot());
  }

  get #drainedPart(): { drained?: DrainReport } {
    return this.#drained === undefined ? {} : { drained: this.#drained };
  }

  /** The primary has checked the configuration, and has sent all parts of it. */
  #configWith({ listen }: Settings): Config {
    if (this.#received === undefined) throw new Error('the primary has not sent a complete configuration');
    const config = { ...this.#received, listen };
    this.#received = undefined;
    return config;
  }

  #start(start: Settings & Membership): Promise<RunningProxy> {
    const { exporters, stateDir, credentials } = this.#options;
    const { suffix, idPrefix, ownAddresses, mode } = start;
    this.#idKey = Buffer.from(start.idKey, 'base64');
    return startProxy(this.#configWith(start), {
      exporters: [this.#noticeForwarder(), this.#counter, this.#totals, this.#steps, ...exporters],
      stateDir,
      credentials: credentials(start, () => this.#idKey),
      clock: systemClock,
      decisions: 'repeat',
      ownAddresses: () => ownAddresses,
      cluster: {
        suffix,
        idPrefix,
        mode,
        limits: {
          send: (messages) => this.send({ type: 'limits', messages }),
          onMessages: (receive) => {
            this.#receiveLimits = receive;
          },
        },
        logins: (key) => this.#loginClient.of(key),
        nonces: this.#nonces,
        rotateLog: this.#logRotation.rotate,
      },
    });
  }

  /** Notices go to the primary, which reports each once for all workers. */
  #noticeForwarder(): Exporter {
    return {
      name: 'notices',
      only: ['notice'],
      observe: (event) => {
        if (event.type !== 'notice') return;
        const { level, message, id } = event;
        this.send({ type: 'notice', level, message, id });
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
}
