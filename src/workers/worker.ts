import { type Config, checkInput } from '../config/schema.ts';
import { systemClock } from '../core/clock.ts';
import type { Exporter } from '../core/contracts.ts';
import type { BookParts } from '../credentials/book.ts';
import { Borrower } from '../limits/borrower.ts';
import { type PreparedReload, type RunningProxy, startProxy } from '../proxy.ts';
import { KeptLogons } from './kept-logons.ts';
import { type FromWorker, isToWorker, type Membership, type Request, type Settings, sentError } from './messages.ts';

/** The end of the channel to the process that started this one: `process`, unless a test plays it. */
export interface Channel {
  send?(message: FromWorker, done?: (error: Error | null) => void): boolean;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  on(event: 'disconnect', listener: () => void): unknown;
}

export interface WorkerParts {
  readonly channel: Channel;
  readonly stateDir: string;
  readonly exporters: readonly Exporter[];
  credentials(member: Membership, idKey: () => Buffer): BookParts;
}

/** Serves as one of several processes of a proxy, until it is told to stop or its primary is gone. Gives the exit code. */
export function serveAsWorker(parts: WorkerParts): Promise<number> {
  const { channel } = parts;
  return new Promise((resolve) => {
    const worker = new Worker(parts, resolve);
    channel.on('message', (message) => worker.hear(message));
    // Nobody would replace or stop it: it must not keep the port from whoever starts the proxy again.
    channel.on('disconnect', () => void worker.orphaned());
    worker.say({ did: 'load' });
  });
}

class Worker {
  readonly #parts: WorkerParts;
  readonly #ended: (code: number) => void;
  readonly #borrower: Borrower;
  readonly #logons: KeptLogons;
  #idKey = Buffer.alloc(0);
  #proxy: RunningProxy | undefined;
  #prepared: PreparedReload | undefined;

  constructor(parts: WorkerParts, ended: (code: number) => void) {
    this.#parts = parts;
    this.#ended = ended;
    this.#logons = new KeptLogons(systemClock, (asked) => this.say({ did: 'logon', asked }));
    this.#borrower = new Borrower((messages) => this.say({ did: 'limits', messages }));
  }

  say(message: FromWorker, done?: () => void): void {
    // A channel that is closed says so by `disconnect`.
    this.#parts.channel.send?.(message, () => done?.());
  }

  hear(message: unknown): void {
    if (!isToWorker(message)) return;
    if (message.do === 'limits') return this.#borrower.hear(message.messages);
    if (message.do === 'logon') return this.#logons.hear(message.answer);
    const { ask } = message;
    this.#do(message).then(
      (value) => this.say({ did: 'answer', ask, value }, () => message.do === 'close' && this.#ended(0)),
      (error) => this.say({ did: 'fail', ask, error: sentError(error) }),
    );
  }

  async orphaned(): Promise<void> {
    await this.#proxy?.close({ drainMs: 0 });
    this.#ended(1);
  }

  async #do(request: Request): Promise<number> {
    switch (request.do) {
      case 'start':
        this.#proxy = await this.#start(request);
        return 0;
      case 'prepare':
        this.#idKey = Buffer.from(request.idKey, 'base64');
        this.#prepared = await this.#proxy?.prepare(configOf(request));
        return 0;
      case 'commit':
        await this.#prepared?.commit();
        this.#prepared = undefined;
        return 0;
      case 'abandon':
        await this.#prepared?.abandon();
        this.#prepared = undefined;
        return 0;
      case 'count':
        return this.#proxy?.open ?? 0;
      case 'close':
        return (await this.#proxy?.close({ drainMs: request.drainMs }))?.cut ?? 0;
    }
  }

  #start(start: Settings & Membership): Promise<RunningProxy> {
    const { exporters, stateDir, credentials } = this.#parts;
    const { suffix, idPrefix } = start;
    this.#idKey = Buffer.from(start.idKey, 'base64');
    return startProxy(configOf(start), {
      exporters: [this.#noticesUpward(), ...exporters],
      stateDir,
      credentials: credentials(start, () => this.#idKey),
      clock: systemClock,
      one: { suffix, idPrefix, lender: this.#borrower, logons: (key) => this.#logons.of(key) },
    });
  }

  /** What the operator should know is told once, however many processes find it out. */
  #noticesUpward(): Exporter {
    return {
      name: 'notices',
      observe: (event) => {
        if (event.type === 'notice') this.say({ did: 'notice', level: event.level, message: event.message });
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
}

/** The primary has checked them. */
function configOf({ values, listen }: Settings): Config {
  const { config } = checkInput(values);
  if (config === undefined) throw new Error('the primary has sent settings that do not hold');
  return { ...config, listen };
}
