import { createServer, type Server } from 'node:net';
import { socketsOf } from '../clients/bridges.ts';
import { numberedListeners } from '../clients/numbered-listeners.ts';
import { probeListeners } from '../clients/open-listeners.ts';
import type { Listen, SocketListen } from '../clients/options.ts';
import type { Observe } from '../contracts/event.ts';

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

  /** Rejects with a ListenError. Addresses in use by the workers are not tried again. `keep` makes the result the one in force. */
  async find(asked: readonly Listen[]): Promise<{ readonly listen: readonly SocketListen[]; keep(): void }> {
    const wanted = socketsOf(asked);
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
