import type { ProxyError } from '../contracts/failure.ts';
import { type AcceptOptions, Listener, type ListenerChange } from './accept.ts';
import { BridgeProblems, BridgeWatch, followedMessage } from './bridge-watch.ts';
import { isOnBridge, missingBridges, socketsOf } from './bridges.ts';
import type { ClientConnection } from './client-protocol.ts';
import { numberedListeners } from './numbered-listeners.ts';
import { openAll, openSome, requireSome } from './open-all.ts';
import type { Listen, ListenSettings, SocketListen } from './options.ts';
import { Places } from './places.ts';
import { RejectedClients } from './rejected-clients.ts';

/** Listeners that are open and serve no client yet: one of the two is called, once. */
export interface PreparedListeners {
  serve(): void;
  abandon(): void;
}

export interface ListenerSetOptions
  extends Pick<AcceptOptions, 'context' | 'protocolOf' | 'observe' | 'epollSockets' | 'sharing' | 'inherited'> {
  /** Open connections to all listeners; another one is rejected and closed. */
  readonly connectionsMax: number;
  /** Descriptors that rejected clients may hold while they read why. */
  readonly rejectedMax?: (() => number) | undefined;
}

/** All listening sockets of one proxy, and what they have accepted. */
export class ListenerSet {
  readonly #options: AcceptOptions;
  #listeners: readonly Listener[] = [];
  /** Open, and not serving yet. */
  readonly #prepared = new Set<Listener>();
  /** Listeners that a reload took away and whose tunnels live on. */
  readonly #retired = new Set<Listener>();

  #wanted: readonly Listen[] = [];
  /** Calls of `prepare` that were neither served nor abandoned. */
  #preparing = 0;
  /** The last change of bridges that is being followed. */
  #following: Promise<void> = Promise.resolve();
  #isFollowing = false;
  readonly #bridgeProblems: BridgeProblems;
  readonly #bridgeWatch: BridgeWatch;

  constructor({ connectionsMax, rejectedMax, ...options }: ListenerSetOptions) {
    const rejected = new RejectedClients(options.context.clock, rejectedMax);
    this.#bridgeProblems = new BridgeProblems((level, message) => options.observe({ type: 'notice', level, message }));
    this.#bridgeWatch = new BridgeWatch(options.context.clock, () => this.#followBridges());
    this.#options = { ...options, places: new Places<ClientConnection>(connectionsMax), rejected };
  }

  get urls(): readonly string[] {
    return this.#listeners.map((listener) => listener.url);
  }

  /** As it is: its port may have been 0. */
  get first(): SocketListen | undefined {
    return this.#listeners[0]?.listen;
  }

  /**
   * Of the listener at the address of this URL, also one that accepts no more. Its scheme does not matter: a reload may have
   * changed it, and connections of before have the earlier one.
   */
  settingsOf(url: string): ListenSettings | undefined {
    for (const listener of this.#all())
      if (withoutScheme(listener.url) === withoutScheme(url)) return listener.listen.settings;
    return undefined;
  }

  /** Of listeners too that do not serve yet: no route of ours may lead there. */
  get addresses(): readonly { readonly address: string; readonly port: number }[] {
    return [...this.#listeners, ...this.#prepared].map(({ listen }) =>
      listen.kind === 'tcp' ? { address: listen.host, port: listen.port } : { address: '', port: 0 },
    );
  }

  /** Requests and tunnels in progress. */
  get active(): number {
    let active = 0;
    for (const listener of this.#all()) active += listener.active;
    return active;
  }

  /** Tunnels that were in progress when all were ended, and became known only then. */
  get abortedLate(): number {
    return this.#options.context.repeats?.abortedLate ?? 0;
  }

  /** Connections of clients that have a place. */
  get connections(): number {
    return this.#options.places.taken;
  }

  /** Sockets that it owns: listeners (those of the addon), connections, and rejected clients that still read why. */
  get sockets(): number {
    const { epollSockets, places, rejected } = this.#options;
    const listening = [...this.#listeners, ...this.#prepared].filter(({ listen }) => listen.kind === 'tcp').length;
    return (epollSockets === undefined ? 0 : listening) + places.taken + rejected.size;
  }

  /**
   * Opens what `wanted` names and is not open yet. Rejects with a ListenError and leaves everything as it was when one
   * cannot be opened; of the optional ones it is enough that one can. Clients that connect meanwhile wait, so that none is
   * served by the earlier rules: `serve` begins to serve, and stops the listeners that are not wanted any more. A listener
   * whose settings alone are others stays open, and takes them then.
   */
  async prepare(wanted: readonly Listen[]): Promise<PreparedListeners> {
    await this.#following;
    this.#preparing += 1;
    let isSettled = false;
    const settle = () => {
      if (!isSettled) this.#preparing -= 1;
      isSettled = true;
    };
    try {
      const { serve, abandon } = await this.#open(wanted);
      return {
        serve: () => {
          settle();
          this.#wanted = wanted;
          for (const message of missingBridges(wanted))
            this.#options.observe({ type: 'notice', level: 'info', message });
          serve();
          this.#bridgeWatch.watch(wanted);
        },
        abandon: () => {
          settle();
          abandon();
        },
      };
    } catch (error) {
      settle();
      throw error;
    }
  }

  /** Between two reloads only. */
  #followBridges(): void {
    if (this.#preparing > 0 || this.#isFollowing) return;
    this.#isFollowing = true;
    this.#following = this.#rebind()
      .catch((error: unknown) => [error])
      .then((failures) => {
        this.#bridgeProblems.report(failures);
        this.#isFollowing = false;
      });
  }

  /** Listens on bridges that have come, and no more on those that are gone. Resolves with why others cannot be listened on. */
  async #rebind(): Promise<readonly unknown[]> {
    const bridges = socketsOf(this.#wanted.filter(({ kind }) => kind === 'bridge'));
    const missing = bridges.filter((listen) => !this.#listeners.some(({ requested }) => isSame(requested, listen)));
    const isGone = ({ requested }: Listener) =>
      isOnBridge(requested) && !bridges.some((listen) => isSame(requested, listen));
    const gone = this.#listeners.filter(isGone);
    const { opened, failures } = await openSome(missing, (listen) => Listener.open([listen, listen], this.#options));
    if (opened.length === 0 && gone.length === 0) return failures;
    this.#listeners = [...this.#listeners.filter((listener) => !gone.includes(listener)), ...opened];
    for (const listener of gone) this.#retire(listener);
    for (const listener of opened) listener.begin();
    this.#options.observe({ type: 'notice', level: 'info', message: followedMessage(this.urls) });
    return failures;
  }

  async #open(asked: readonly Listen[]): Promise<PreparedListeners> {
    const wanted = socketsOf(asked);
    // Where only bridges are listened on and all of them have gone since, a reload changes the rest.
    if (this.#listeners.length > 0 || this.#wanted.length === 0) requireSome(asked, wanted);
    const asking = numberedListeners(wanted, (listen) => listen);
    const open = numberedListeners(this.#listeners, ({ requested }) => requested);
    const unchanged = [...open].flatMap(([key, listener]) => (asking.has(key) ? [listener] : []));
    const missing = [...asking].flatMap(([key, listen]) => (open.has(key) ? [] : [listen]));
    const { observe } = this.#options;
    const changes: ListenerChange[] = [];
    const undo = () => {
      for (const change of changes) change.abandon();
    };
    let opened: readonly Listener[];
    try {
      for (const [key, listener] of open) changes.push(...changesOf(listener, asking.get(key)));
      opened = await openAll(missing, wanted, (...listen) => Listener.open(listen, this.#options), observe);
    } catch (error) {
      undo();
      throw error;
    }
    for (const listener of opened) this.#prepared.add(listener);
    const abandon = () => {
      undo();
      for (const listener of opened) {
        this.#prepared.delete(listener);
        listener.abandon();
      }
    };
    const serve = () => {
      for (const listener of opened) this.#prepared.delete(listener);
      for (const listener of this.#listeners) if (!unchanged.includes(listener)) this.#retire(listener);
      for (const change of changes) change.commit();
      this.#listeners = [...unchanged, ...opened];
      for (const listener of opened) listener.begin();
    };
    return { serve, abandon };
  }

  /** Accepts no more; resolves when nothing is open any more. */
  async drained(): Promise<void> {
    this.#wanted = [];
    this.#bridgeWatch.watch([]);
    await this.#following;
    await Promise.all([...this.#all()].map((listener) => listener.stop()));
    this.#options.rejected.close();
  }

  /** Ends all that is in progress. */
  abort(why: ProxyError): void {
    for (const listener of this.#all()) listener.abort(why);
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

const withoutScheme = (url: string): string => url.replace(/^[a-z][a-z0-9]*:\/\//, '');

const isSame = (one: Listen, other: Listen): boolean => JSON.stringify(one) === JSON.stringify(other);

/** One that has certificates is changed by every reload: the files may be others. */
function changesOf(listener: Listener, listen: SocketListen | undefined): ListenerChange[] {
  if (listen === undefined || (isSame(listen, listener.requested) && listen.settings?.tls === undefined)) return [];
  return [listener.prepareChange(listen)];
}
