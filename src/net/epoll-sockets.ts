import { type EpollAddon, loadAddon } from '../native/addon.ts';
import { systemError } from '../native/system-error.ts';
import { EpollListener } from './epoll-listener.ts';
import { EpollWire } from './epoll-wire.ts';
import { SocketTable } from './socket-table.ts';

/**
 * The addon's sockets: they do for a proxy what Node's do, without the streams, handles and callbacks that are most of
 * what those cost.
 */
export class EpollSockets {
  readonly #table: SocketTable;

  /** Throws when this Node or this system cannot have them. */
  constructor(addon: EpollAddon) {
    this.#table = new SocketTable(addon);
  }

  /** Sockets that are open, listeners among them. */
  get size(): number {
    return this.#table.addon.size();
  }

  /** Throws the error of the system. No client is accepted before `serve`. */
  listen(host: string, port: number, backlog: number, sharing: 'port' | undefined): EpollListener {
    const socket = this.#table.addon.listen(host, port, backlog, sharing === 'port');
    if (socket < 0) throw systemError(-socket, 'listen');
    return new EpollListener(this.#table, socket);
  }

  /**
   * Connects, from a local address where that is given; calls `onDialled` when that has ended, in a later tick. Throws what
   * the system reports at once.
   */
  dial(address: string, port: number, onDialled: (error: Error | undefined) => void, from = ''): EpollWire {
    const socket = this.#table.addon.dial(address, port, from);
    if (socket < 0) throw systemError(-socket, 'connect');
    return new EpollWire(this.#table, socket, onDialled);
  }
}

let opened: { readonly sockets: EpollSockets | undefined } | undefined;

/** Sockets of the addon that are open: Node does not list them among its own resources. */
export const epollSocketCount = (): number => opened?.sockets?.size ?? 0;

/** The addon's sockets in this environment, where there can be any. Never throws: Node's sockets do the same. */
export function epollSockets(): EpollSockets | undefined {
  opened ??= { sockets: start() };
  return opened.sockets;
}

function start(): EpollSockets | undefined {
  const { addon } = loadAddon();
  try {
    return addon && new EpollSockets(addon.epollSockets);
  } catch {
    return undefined;
  }
}
