import { SOCKET_EVENTS } from '../native/abi.ts';
import { systemError } from '../native/system-error.ts';
import { EpollWire } from './epoll-wire.ts';
import type { SocketOwner, SocketTable } from './socket-table.ts';

export interface AcceptHandler {
  accepted(wire: EpollWire, address: string, port: number, localAddress: string | undefined): void;
  /** The system could not accept. Clients wait in the kernel until `resume`. */
  failed(error: Error): void;
}

type ListenerState =
  /** Bound; clients wait in the kernel. */
  { readonly at: 'bound' } | { readonly at: 'serving'; readonly handler: AcceptHandler } | { readonly at: 'closed' };

/** A listening socket. It is registered before the first call that can fail, so that `close` always finds it. */
export class EpollListener implements SocketOwner {
  readonly address: string;
  readonly port: number;
  readonly #table: SocketTable;
  readonly #socket: number;
  readonly #isOnAllAddresses: boolean;
  #state: ListenerState = { at: 'bound' };

  constructor(table: SocketTable, socket: number) {
    this.#table = table;
    this.#socket = socket;
    table.register(socket, this);
    try {
      [this.address, this.port] = table.addon.local(socket);
    } catch (error) {
      table.close(socket);
      throw error;
    }
    this.#isOnAllAddresses = isUnspecified(this.address);
  }

  /** Begins to accept. Throws the error of the system; the listener is closed then. */
  serve(handler: AcceptHandler): void {
    if (this.#state.at === 'closed') throw systemError(EBADF, 'listen');
    this.#state = { at: 'serving', handler };
    const failed = this.#table.addon.serve(this.#socket);
    if (failed === 0) return;
    this.close();
    throw systemError(failed, 'listen');
  }

  /** Accepts no more until `resume`; clients wait in the kernel meanwhile. */
  pause(): void {
    if (this.#state.at !== 'closed') this.#table.addon.pause(this.#socket);
  }

  resume(): void {
    if (this.#state.at !== 'serving') return;
    const failed = this.#table.addon.serve(this.#socket);
    if (failed !== 0) this.#state.handler.failed(systemError(failed, 'accept'));
  }

  close(): void {
    if (this.#state.at === 'closed') return;
    this.#state = { at: 'closed' };
    this.#table.close(this.#socket);
  }

  onEvent(kind: number, a: number, port: number, four: number): void {
    if (this.#state.at !== 'serving') return;
    const { handler } = this.#state;
    if (kind === SOCKET_EVENTS.acceptFailed) return handler.failed(systemError(a, 'accept'));
    const wire = new EpollWire(this.#table, a, undefined);
    wire.acceptedBy = this.#socket;
    try {
      const local = this.#isOnAllAddresses ? this.#table.addon.local(a)[0] : undefined;
      handler.accepted(wire, four === 0 ? this.#table.addon.peer(a)[0] : dotted(four), port, local);
    } catch (error) {
      // Otherwise the client would wait on a connection that has no owner.
      wire.destroy();
      throw error;
    }
  }
}

const EBADF = 9;

/** Whether a listener at this address, as the system writes it, has connections to all addresses of the machine. */
export const isUnspecified = (address: string): boolean => address === '0.0.0.0' || address === '::';

const dotted = (four: number): string => `${four >>> 24}.${(four >>> 16) & 255}.${(four >>> 8) & 255}.${four & 255}`;
