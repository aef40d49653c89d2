import type { Observe } from '../core/contracts.ts';
import type { ProxyError } from '../core/failure.ts';
import { type AcceptOptions, Listener } from './accept.ts';
import { describe, ListenError, type Opened, openProbe } from './listening.ts';
import type { Listen } from './options.ts';

/** Listeners that are open and serve nobody yet: one of the two is called, once. */
export interface PreparedListeners {
  serve(): void;
  abandon(): void;
}

/** All listening sockets of one proxy, and what they have accepted. */
export class ListenerSet {
  readonly #options: AcceptOptions;
  #listeners: readonly Listener[] = [];
  /** Listeners that a reload took away and whose tunnels live on. */
  readonly #retired = new Set<Listener>();

  constructor(options: AcceptOptions) {
    this.#options = options;
  }

  get urls(): readonly string[] {
    return this.#listeners.map((listener) => listener.url);
  }

  get addresses(): readonly { readonly address: string; readonly port: number }[] {
    return this.#listeners.map(({ listen }) =>
      listen.kind === 'tcp' ? { address: listen.host, port: listen.port } : { address: '', port: 0 },
    );
  }

  /** Connections that closing now would take something from. */
  get busy(): number {
    let busy = 0;
    for (const listener of this.#all()) busy += listener.busy;
    return busy;
  }

  /**
   * Opens what `wanted` names and is not open yet. Rejects with a ListenError and leaves everything as it was when one
   * cannot be opened; of the optional ones it is enough that one can. Who connects meanwhile waits, so that nobody is
   * served by the rules of before: `serve` begins to serve, and stops what is not wanted any more.
   */
  async prepare(wanted: readonly Listen[]): Promise<PreparedListeners> {
    const kept = this.#listeners.filter((listener) => wanted.some((listen) => isSame(listen, listener.asked)));
    const missing = wanted.filter((listen) => !kept.some((listener) => isSame(listen, listener.asked)));
    const { observe } = this.#options;
    const opened = await openAll(missing, wanted, (listen) => Listener.open(listen, this.#options), observe);
    const abandon = () => {
      for (const listener of opened) listener.abandon();
    };
    const serve = () => {
      for (const listener of this.#listeners) if (!kept.includes(listener)) this.#retire(listener);
      this.#listeners = [...kept, ...opened];
      for (const listener of opened) listener.begin();
    };
    return { serve, abandon };
  }

  /** Accepts no more; resolves when nothing is open any more. */
  async drained(): Promise<void> {
    await Promise.all([...this.#all()].map((listener) => listener.stop()));
  }

  /** Ends what is still open; says how many requests and tunnels that were. */
  cut(reason: ProxyError): number {
    let cut = 0;
    for (const listener of this.#all()) cut += listener.cut(reason);
    return cut;
  }

  *#all(): Iterable<Listener> {
    yield* this.#listeners;
    yield* this.#retired;
  }

  #retire(listener: Listener): void {
    this.#retired.add(listener);
    void listener.stop().then(() => this.#retired.delete(listener));
  }
}

/**
 * Finds out which of `fresh` could be listened on, and on which ports, without keeping them. What is not in the answer
 * is the half of `localhost` that this machine lacks. Rejects with a ListenError.
 */
export async function probeListeners(
  fresh: readonly Listen[],
  wanted: readonly Listen[],
  observe: Observe,
): Promise<ReadonlyMap<Listen, Listen>> {
  const found = new Map<Listen, Listen>();
  const probes = await openAll(
    fresh,
    wanted,
    async (listen, asked) => {
      const probe = await openProbe(listen);
      found.set(asked, probe.listen);
      return probe;
    },
    observe,
  );
  for (const probe of probes) probe.abandon();
  return found;
}

/** Opens all of `missing`, or none and rejects. */
async function openAll<L extends Opened>(
  missing: readonly Listen[],
  wanted: readonly Listen[],
  open: (listen: Listen, asked: Listen) => Promise<L>,
  observe: Observe,
): Promise<L[]> {
  const opened: L[] = [];
  for (const listen of missing) {
    try {
      opened.push(await open(withSharedPort(listen, opened), listen));
    } catch (error) {
      if (error instanceof ListenError && mayBeMissing(listen, error, wanted, opened)) {
        observe({ type: 'notice', level: 'info', message: `${describe(listen)} is not there: ${error.code}` });
        continue;
      }
      for (const one of opened) one.abandon();
      throw error;
    }
  }
  return opened;
}

/** A machine may lack one family of `localhost`; a port that is taken is another matter. */
function mayBeMissing(
  listen: Listen,
  error: ListenError,
  wanted: readonly Listen[],
  opened: readonly Opened[],
): boolean {
  if (listen.kind !== 'tcp' || !listen.optional || error.code === 'EADDRINUSE' || error.code === 'EACCES') return false;
  const isLast = wanted.findLast((other) => other.kind === 'tcp' && other.optional) === listen;
  return !isLast || opened.some((listener) => listener.asked.kind === 'tcp' && listener.asked.optional);
}

/** Both halves of `localhost` take the same port when it is a free one that is asked for. */
function withSharedPort(listen: Listen, opened: readonly Opened[]): Listen {
  if (listen.kind !== 'tcp' || !listen.optional || listen.port !== 0) return listen;
  const other = opened.find(({ asked }) => asked.kind === 'tcp' && asked.optional && asked.port === 0);
  return other?.listen.kind === 'tcp' ? { ...listen, port: other.listen.port } : listen;
}

const isSame = (one: Listen, other: Listen): boolean => JSON.stringify(one) === JSON.stringify(other);
