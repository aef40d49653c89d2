import { createServer, type Server } from 'node:net';
import { socketsOf } from '../clients/bridges.ts';
import { numberedListeners } from '../clients/numbered-listeners.ts';
import { probeListeners, requireSome } from '../clients/open-all.ts';
import type { Listen, SocketListen } from '../clients/options.ts';
import type { Observe } from '../contracts/event.ts';

/** Addresses that could be bound a moment ago. */
export interface FoundAddresses {
  readonly listen: readonly SocketListen[];
  /** Makes them those in force. */
  keep(): void;
}

/**
 * The addresses that all workers listen on. Sockets that share a port share it with any process of the same user: a second
 * proxy on that port would silently take half of the clients. So each address is first bound without sharing, for a
 * moment, which fails where another process listens; it also finds the port where a free one is wanted.
 */
export class Ports {
  readonly #observe: Observe;
  /** The address that was found for each setting, by its key; `undefined` for the half of `localhost` that this machine lacks. */
  #known: ReadonlyMap<string, SocketListen | undefined> = new Map();

  constructor(observe: Observe) {
    this.#observe = observe;
  }

  /** Whether the addresses of `asked` are those in force: bridges come and go. */
  isCurrent(asked: readonly Listen[]): boolean {
    const wanted = [...numberedListeners(socketsOf(asked), (listen) => listen).keys()];
    return wanted.length === this.#known.size && wanted.every((key) => this.#known.has(key));
  }

  /** Rejects with a ListenError. Addresses in use by the workers are not tried again. */
  async find(asked: readonly Listen[]): Promise<FoundAddresses> {
    const wanted = socketsOf(asked);
    // Where only bridges are asked for and all of them have gone since, the workers wait for the next one.
    if (this.#known.size === 0) requireSome(asked, wanted);
    const numbered = [...numberedListeners(wanted, (listen) => listen)];
    const fresh = numbered.flatMap(([key, listen]) => (this.#known.has(key) ? [] : [listen]));
    const found = await probeListeners(fresh, wanted, this.#observe);
    const known = new Map(
      numbered.map(([key, listen]) => {
        const at = this.#known.has(key) ? this.#known.get(key) : found.get(listen);
        // What is spoken there may be another matter than at the last time.
        return [key, at && { ...at, protocol: listen.protocol, settings: listen.settings }] as const;
      }),
    );
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
