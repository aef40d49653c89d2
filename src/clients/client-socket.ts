import type { Receiver, Wire } from '../contracts/wire.ts';
import type { IdleTarget } from '../net/idle-watch.ts';
import type { Stop } from '../util/stop.ts';
import type { AcceptedClient, ClientContext } from './client-protocol.ts';
import { ClientTunnel } from './client-tunnel.ts';

/** The connection whose socket it is. */
export interface SocketUser extends Receiver, IdleTarget {
  /** The socket is closed, and no tunnel runs on without it. Called once; the place is given back behind it. */
  onClosed(): void;
}

/** The socket of a client, from its first byte until it is closed, handed to a tunnel or handed to another connection. */
export class ClientSocket {
  readonly wire: Wire;
  readonly #accepted: AcceptedClient;
  /** `undefined`: a tunnel has taken its place. */
  #user: SocketUser | undefined;
  readonly #context: ClientContext;
  #tunnel: ClientTunnel | undefined;
  #isOver = false;

  constructor(accepted: AcceptedClient, user: SocketUser, context: ClientContext) {
    this.wire = accepted.wire;
    this.#accepted = accepted;
    this.#user = user;
    this.#context = context;
  }

  /** Delivers what was read already, and then all that comes; silence is watched. The last step of the user's constructor. */
  begin(): void {
    const { early } = this.#accepted;
    const user = this.#user;
    if (user === undefined) return;
    this.#context.idle.watch(user);
    this.wire.stream.once('close', () => this.closed());
    if (early.length === 0) this.wire.deliverTo(user);
    // Later: the listener has to count the connection first.
    else queueMicrotask(() => this.#deliverEarly(early, user));
  }

  #deliverEarly(early: Buffer, user: SocketUser): void {
    if (this.#isOver) return;
    this.wire.deliverTo(user);
    user.bytes(early, 'fresh');
  }

  /** To a tunnel, with what the client has sent for it already; `signal` ends it. */
  handOff(early: Buffer, signal: Stop): ClientTunnel {
    const tunnel = new ClientTunnel(this, early, signal);
    this.#tunnel = tunnel;
    this.#release();
    this.#user = undefined;
    this.#accepted.place.of = tunnel;
    return tunnel;
  }

  /** To another connection, which takes over the place too. */
  handOver(): void {
    this.#isOver = true;
    this.#release();
  }

  /** The wire has closed, or belongs to other code from now on: the place is given back. */
  closed(): void {
    if (this.#isOver) return;
    this.#tunnel?.socketClosed();
    if (this.#tunnel?.isOpen) return;
    this.#isOver = true;
    this.#release();
    this.#user?.onClosed();
    this.#accepted.host.closed(this.#accepted.place);
  }

  #release(): void {
    if (this.#user !== undefined) this.#context.idle.unwatch(this.#user);
    this.wire.deliverTo(undefined);
  }
}
