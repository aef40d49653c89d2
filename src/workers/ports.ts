import { createServer, type Server } from 'node:net';
import type { Observe } from '../core/contracts.ts';
import { probeListeners } from '../listeners/listener-set.ts';
import type { Listen } from '../listeners/options.ts';

/**
 * The addresses that all workers listen on. Sockets that share a port share it with any process of the same user, so a
 * second proxy there would take half of the clients and nobody would notice. Hence each address is first bound by
 * itself, for a moment, which fails where anybody else listens; that also finds the port where a free one is wanted.
 */
export class Ports {
  readonly #observe: Observe;
  /** What was asked for, as JSON, and what came of it; nothing for half of `localhost` that this machine lacks. */
  #known: ReadonlyMap<string, Listen | undefined> = new Map();

  constructor(observe: Observe) {
    this.#observe = observe;
  }

  /** Rejects with a ListenError. What is listened on already is not tried again. `keep` makes the answer the one in force. */
  async find(wanted: readonly Listen[]): Promise<{ readonly listen: readonly Listen[]; keep(): void }> {
    const fresh = wanted.filter((listen) => !this.#known.has(keyOf(listen)));
    const found = await probeListeners(fresh, wanted, this.#observe);
    const known = new Map(
      wanted.map((listen) => {
        const key = keyOf(listen);
        return [key, this.#known.has(key) ? this.#known.get(key) : found.get(listen)] as const;
      }),
    );
    const keep = () => {
      this.#known = known;
    };
    return { listen: [...known.values()].filter((listen) => listen !== undefined), keep };
  }
}

const keyOf = (listen: Listen): string => JSON.stringify(listen);

/** Whether this system and this Node let several sockets share a port: found out by doing it. */
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
