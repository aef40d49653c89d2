import { createServer, type Server } from 'node:net';
import { isOnBridge, socketsOf } from '../clients/bridges.ts';
import { openProbe } from '../clients/listening.ts';
import { numberedListeners } from '../clients/numbered-listeners.ts';
import { openSome, probeListeners, requireSome } from '../clients/open-all.ts';
import type { Listen, SocketListen } from '../clients/options.ts';
import type { Observe } from '../contracts/event.ts';

/** Addresses that could be bound a moment ago. */
export interface FoundAddresses {
  readonly listen: readonly SocketListen[];
  /** Makes them those in force. */
  keep(): void;
}

/** What has become of bridges. */
export interface FollowedAddresses {
  /** Absent: they are those in force. */
  readonly found?: FoundAddresses;
  /** Why others cannot be listened on. */
  readonly failures: readonly unknown[];
}

/**
 * The addresses that all workers listen on. Sockets that share a port share it with any process of the same user: a second
 * proxy on that port would silently take half of the clients. So each address is first bound without sharing, for a
 * moment, which fails where another process listens; it also finds the port where a free one is wanted.
 */
export class Ports {
  readonly #observe: Observe;
  /**
   * The address that was found for each setting, by its key; `undefined` for the half of `localhost` that this machine lacks.
   * `undefined` instead of the map: none was asked for yet.
   */
  #known: ReadonlyMap<string, SocketListen | undefined> | undefined;

  constructor(observe: Observe) {
    this.#observe = observe;
  }

  /** Rejects with a ListenError. Addresses in use by the workers are not tried again. */
  async find(asked: readonly Listen[]): Promise<FoundAddresses> {
    const wanted = socketsOf(asked);
    // Where only bridges are asked for and all of them have gone since, the workers wait for the next one.
    if (this.#known?.size !== 0) requireSome(asked, wanted);
    const found = await probeListeners(this.#missing(wanted), wanted, this.#observe);
    return this.#keeping(wanted, found);
  }

  /**
   * As `find`, where bridges alone may have come or gone; resolves without addresses where they are those in force. What cannot be
   * bound is left out, and tried again by the next call.
   */
  async follow(asked: readonly Listen[]): Promise<FollowedAddresses> {
    const wanted = socketsOf(asked);
    const missing = this.#missing(wanted);
    const { opened, failures } = await openSome(missing, openProbe);
    for (const probe of opened) probe.abandon();
    const isGone = (this.#known?.size ?? 0) > wanted.length - missing.length;
    if (opened.length === 0 && !isGone) return { failures };
    const found = new Map(opened.map(({ requested, listen }) => [requested, listen]));
    return { found: this.#keeping(wanted, found), failures };
  }

  #missing(wanted: readonly SocketListen[]): readonly SocketListen[] {
    const numbered = numberedListeners(wanted, (listen) => listen);
    return [...numbered].flatMap(([key, listen]) => (this.#known?.has(key) === true ? [] : [listen]));
  }

  #keeping(wanted: readonly SocketListen[], found: ReadonlyMap<SocketListen, SocketListen>): FoundAddresses {
    const known = new Map<string, SocketListen | undefined>();
    for (const [key, listen] of numberedListeners(wanted, (one) => one)) {
      const at = found.get(listen) ?? this.#known?.get(key);
      // The address of a bridge that is not there yet may come.
      if (at === undefined && isOnBridge(listen)) continue;
      const { protocol, settings } = listen;
      // What is spoken there may be another matter than at the last time. What was bound here each worker can bind.
      known.set(key, at && { ...at, ...(at.kind === 'tcp' && { optional: false }), protocol, settings });
    }
    const keep = () => {
      this.#known = known;
    };
    return { listen: [...known.values()].filter((listen) => listen !== undefined), keep };
  }
}

/** Whether this system and this Node let several sockets share a port: it is tried. */
export async function canSharePorts(): Promise<boolean> {
  const first = createServer();
  const second = createServer();
  try {
    await listening(first, 0);
    const address = first.address();
    await listening(second, address !== null && typeof address === 'object' ? address.port : 0);
    return true;
  } catch {
    return false;
  } finally {
    first.close();
    second.close();
  }
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port, reusePort: true }, resolve);
  });
}
