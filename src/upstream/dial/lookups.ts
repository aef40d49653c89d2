import { unlessAborted } from '../../contracts/deadline.ts';
import { ProxyError } from '../../contracts/failure.ts';
import { clientKeyOf } from '../../protocol/addresses/client-key.ts';
import type { Clock } from '../../util/clock.ts';
import type { StopSignal } from '../../util/stop.ts';
import type { LookupShares, RunningShare } from './lookup-shares.ts';

/** Names that wait for a thread, of all clients together: as many as are remembered (resolver.ts). */
const WAITING_MAX = 4_096;
/** How often the queue is looked at while no lookup ends: what a client may begin grows with time. */
const CHECK_INTERVAL_MS = 100;
/** One turn of a client in so many is for the name that has waited longest, and the others for its newest. */
const OLDEST_EVERY = 8;
const RETRY_AFTER_S = 1;

/** The name that was registered; names below it are mostly answered, or not answered, by the same name servers. */
type DomainOf = (host: string) => string;

interface Client<T> {
  readonly key: string;
  /** Lookups that have a thread because this client had its turn, in the order in which they began. */
  readonly running: Set<Running<T>>;
  /** Names that wait for a turn of this client; the newest is the last. */
  readonly waiting: Name<T>[];
  /** Turns that it has had while names were waiting. */
  turns: number;
}

/** A lookup that has a thread, until it is answered: nothing can cancel it. */
interface Running<T> {
  readonly name: Name<T>;
  readonly by: Client<T>;
  readonly sinceMs: number;
  domain: string | undefined;
}

/** A name that requests wait for, once for all of them. */
interface Name<T> {
  readonly host: string;
  at: 'waiting' | 'running';
  /** How many requests of each client wait for it. The name begins with the first of these clients that has its turn. */
  readonly waiters: Map<Client<T>, number>;
  readonly answer: PromiseWithResolvers<T>;
}

export interface LookupsOptions<T> {
  readonly clock: Clock;
  readonly shares: LookupShares;
  /** Looks a name up. Never rejects. */
  readonly ask: (host: string) => Promise<T>;
}

/**
 * Decides which name is looked up next. Clients have turns. Of one client the newest name begins, since it need not wait
 * behind all those that hang; in every eighth turn it is the oldest, which would be passed over for ever while more
 * names that hang keep coming. A name that no request waits for any more leaves the queue.
 */
export class Lookups<T> {
  readonly #clock: Clock;
  readonly #shares: LookupShares;
  readonly #ask: (host: string) => Promise<T>;
  readonly #names = new Map<string, Name<T>>();
  readonly #clients = new Map<string, Client<T>>();
  readonly #running = new Set<Running<T>>();
  /** Lookups that began in another network: they hold threads, and count for no client and no domain. */
  readonly #outdated = new Set<Running<T>>();
  /** Clients with names that wait, the one that has the next turn first. */
  readonly #queue = new Set<Client<T>>();
  #waiting = 0;
  #timer: Disposable | undefined;
  #domainOf: DomainOf | 'loading' | undefined;

  constructor({ clock, shares, ask }: LookupsOptions<T>) {
    this.#clock = clock;
    this.#shares = shares;
    this.#ask = ask;
  }

  /** Rejects with the signal's reason, or with `at_capacity` when too many names wait. */
  async lookup(host: string, address: string, signal: StopSignal): Promise<T> {
    if (signal.aborted) throw signal.reason;
    const client = this.#clientOf(address);
    const name = this.#names.get(host) ?? this.#newName(host);
    this.#join(name, client);
    try {
      return await unlessAborted(name.answer.promise, signal);
    } finally {
      this.#leave(name, client);
    }
  }

  /** The network has changed: the results of running lookups are not used, and they count only for the threads they hold. */
  forget(): void {
    for (const running of this.#running) {
      running.by.running.clear();
      this.#names.delete(running.name.host);
      this.#outdated.add(running);
    }
    this.#running.clear();
    this.#pump();
  }

  get #free(): number {
    return this.#shares.threads - this.#running.size - this.#outdated.size;
  }

  #clientOf(address: string): Client<T> {
    const key = clientKeyOf(address);
    const known = this.#clients.get(key);
    if (known !== undefined) return known;
    const client: Client<T> = { key, running: new Set(), waiting: [], turns: 0 };
    this.#clients.set(key, client);
    return client;
  }

  #newName(host: string): Name<T> {
    const name: Name<T> = { host, at: 'waiting', waiters: new Map(), answer: Promise.withResolvers() };
    this.#names.set(host, name);
    return name;
  }

  #join(name: Name<T>, client: Client<T>): void {
    const wanted = name.waiters.get(client) ?? 0;
    name.waiters.set(client, wanted + 1);
    if (name.at === 'running' || wanted > 0) return;
    if (this.#nextAllowed(client, [name]) !== undefined) return this.#begin(name, client);
    if (this.#waiting >= WAITING_MAX) this.#shed();
    client.waiting.push(name);
    this.#waiting += 1;
    this.#queue.add(client);
    this.#scheduleCheck();
  }

  #leave(name: Name<T>, client: Client<T>): void {
    const wanted = name.waiters.get(client) ?? 0;
    if (wanted > 1) return void name.waiters.set(client, wanted - 1);
    name.waiters.delete(client);
    this.#stopWaiting(name, client);
    if (name.at === 'waiting' && name.waiters.size === 0 && this.#names.get(name.host) === name)
      this.#names.delete(name.host);
    this.#tidy(client);
    this.#scheduleCheck();
  }

  #stopWaiting(name: Name<T>, client: Client<T>): void {
    const at = client.waiting.lastIndexOf(name);
    if (at < 0) return;
    client.waiting.splice(at, 1);
    this.#waiting -= 1;
    if (client.waiting.length === 0) this.#queue.delete(client);
  }

  /** The client with the most names in the queue loses the one that has waited longest. */
  #shed(): void {
    let most: Client<T> | undefined;
    for (const client of this.#queue) if (client.waiting.length > (most?.waiting.length ?? 0)) most = client;
    const [name] = most?.waiting ?? [];
    if (most === undefined || name === undefined) return;
    this.#stopWaiting(name, most);
    // Another client that waits for it has a turn of its own.
    if (name.waiters.size > 1) return;
    this.#names.delete(name.host);
    name.answer.reject(
      new ProxyError('at_capacity', `${WAITING_MAX} names wait to be looked up`, {
        clientDetail: 'Too many host names wait to be looked up.',
        headers: [['Retry-After', String(RETRY_AFTER_S)]],
      }),
    );
  }

  #pump(): void {
    while (this.#beginNext());
    this.#scheduleCheck();
  }

  /** Whether a client had a turn. */
  #beginNext(): boolean {
    for (const client of this.#queue) {
      const name = this.#nextAllowed(client, client.waiting);
      if (name === undefined) continue;
      client.turns += 1;
      this.#queue.delete(client);
      this.#queue.add(client);
      this.#begin(name, client);
      return true;
    }
    return false;
  }

  /** The one of `names` that the client may begin now. */
  #nextAllowed(client: Client<T>, names: readonly Name<T>[]): Name<T> | undefined {
    const isOldestDue = client.turns % OLDEST_EVERY === OLDEST_EVERY - 1;
    const free = this.#free;
    const nowMs = this.#clock.now();
    if (!this.#shares.allowsClient(shareOf(client.running), free, nowMs)) return undefined;
    if (this.#shares.isQuiet(this.#running.size)) return isOldestDue ? names[0] : names.at(-1);
    const domainOf = this.#domains();
    // The list is loaded within milliseconds, and then the queue is looked at.
    if (domainOf === undefined) return undefined;
    const full = new Set<string>();
    const isAllowed = ({ host }: Name<T>): boolean => {
      const domain = domainOf(host);
      if (full.has(domain)) return false;
      const ofAll = [...this.#running].filter((one) => {
        one.domain ??= domainOf(one.name.host);
        return one.domain === domain;
      });
      const ofClient = ofAll.filter(({ by }) => by === client);
      if (this.#shares.allowsDomain(shareOf(ofClient), ofAll.length, free, nowMs)) return true;
      full.add(domain);
      return false;
    };
    return isOldestDue ? names.find(isAllowed) : names.findLast(isAllowed);
  }

  #begin(name: Name<T>, by: Client<T>): void {
    for (const client of name.waiters.keys()) this.#stopWaiting(name, client);
    name.at = 'running';
    const running: Running<T> = { name, by, sinceMs: this.#clock.now(), domain: undefined };
    this.#running.add(running);
    by.running.add(running);
    void this.#ask(name.host).then((answer) => this.#ended(running, answer));
  }

  #ended(running: Running<T>, answer: T): void {
    const { name, by } = running;
    if (!this.#running.delete(running)) this.#outdated.delete(running);
    by.running.delete(running);
    if (this.#names.get(name.host) === name) this.#names.delete(name.host);
    name.answer.resolve(answer);
    this.#tidy(by);
    this.#pump();
  }

  #tidy(client: Client<T>): void {
    const isIdle = client.running.size === 0 && client.waiting.length === 0;
    if (isIdle && this.#clients.get(client.key) === client) this.#clients.delete(client.key);
  }

  #scheduleCheck(): void {
    if (this.#queue.size === 0) {
      this.#timer?.[Symbol.dispose]();
      this.#timer = undefined;
      return;
    }
    this.#timer ??= this.#clock.after(CHECK_INTERVAL_MS, () => {
      this.#timer = undefined;
      this.#pump();
    });
  }

  #domains(): DomainOf | undefined {
    if (typeof this.#domainOf === 'function') return this.#domainOf;
    if (this.#domainOf === undefined) {
      this.#domainOf = 'loading';
      void registrableDomains().then((domainOf) => {
        this.#domainOf = domainOf;
        this.#pump();
      });
    }
    return undefined;
  }
}

/** Of lookups in the order in which they began. */
function shareOf<T>(running: Iterable<Running<T>>): RunningShare {
  let count = 0;
  let sinceMs = 0;
  for (const one of running) if (count++ === 0) sinceMs = one.sinceMs;
  return { count, sinceMs };
}

/** The public suffix list, which takes 10 ms and 10 MB to load: a proxy whose lookups are answered never needs it. */
async function registrableDomains(): Promise<DomainOf> {
  try {
    const { getDomain } = await import('tldts');
    return (host) => getDomain(host, { allowPrivateDomains: true }) ?? host;
  } catch {
    // No file can be opened, for example. What a client may hold is still bounded.
    return (host) => host;
  }
}
