import type {
  AcceptedClient,
  ClientConnection,
  ClientContext,
  ClientProtocol,
  EvictedClient,
} from '../../src/clients/client-protocol.ts';
import type { ProxyError } from '../../src/contracts/failure.ts';
import type { Ownership, Receiver } from '../../src/contracts/wire.ts';
import type { IdleTarget } from '../../src/net/idle-watch.ts';
import { NO_SLOT } from '../../src/util/slot-list.ts';

/** A header of another proxy has 107 bytes at most (PROXY protocol, version 1). */
const BYTES_MAX = 128;

/** What the first bytes of a client show. */
export interface Detected {
  readonly protocol: ClientProtocol;
  /** The address of the client, where the bytes name another one than the socket. */
  readonly address?: string;
  /** What the protocol begins with: the bytes that belong to the detection alone are left out. */
  readonly early: Buffer;
}

export interface DetectingOptions {
  /** `undefined`: more bytes are needed. */
  readonly detect: (received: Buffer) => Detected | undefined;
  /** Refuses clients that are rejected before their protocol is known. */
  readonly fallback: ClientProtocol;
  /** Within this time the first bytes have to come. */
  readonly limitMs: number;
}

/** A listener for several protocols: what its clients speak shows in their first bytes. */
export const detectingProtocol = (context: ClientContext, options: DetectingOptions): ClientProtocol => ({
  protocol: options.fallback.protocol,
  serve: (accepted) => new DetectingConnection(accepted, context, options),
  reject: (why, id) => options.fallback.reject(why, id),
});

/** A connection whose protocol is not known yet. It holds a place, and hands that over with the wire and what it has read. */
class DetectingConnection implements ClientConnection, Receiver, IdleTarget {
  slot: number = NO_SLOT;
  silentSinceMs = 0;
  readonly limitMs: number;
  readonly active = 0;
  readonly #accepted: AcceptedClient;
  readonly #context: ClientContext;
  readonly #options: DetectingOptions;
  #received: Buffer = Buffer.alloc(0);
  /** Closed, or handed over. */
  #isOver = false;

  constructor(accepted: AcceptedClient, context: ClientContext, options: DetectingOptions) {
    this.#accepted = accepted;
    this.#context = context;
    this.#options = options;
    this.limitMs = options.limitMs;
    context.idle.watch(this);
    accepted.wire.stream.once('close', () => this.#closed());
    // Later: the listener has to enter this connection in its place first.
    queueMicrotask(() => {
      if (this.#isOver) return;
      accepted.wire.deliverTo(this);
      this.bytes(accepted.early);
    });
  }

  close(): void {
    this.#accepted.wire.stream.destroy();
  }

  abort(): void {
    this.close();
  }

  evict(why: ProxyError, id: string): EvictedClient {
    this.#closed();
    return { wire: this.#accepted.wire, rejection: this.#options.fallback.reject(why, id) };
  }

  /** Bytes that do not suffice are no progress: a client that sends one now and then would hold a place for long. */
  wasTouched(): boolean {
    return false;
  }

  expired(): void {
    this.close();
  }

  bytes(chunk: Buffer, _ownership?: Ownership): void {
    if (this.#isOver || chunk.length === 0) return;
    this.#received = Buffer.concat([this.#received, chunk]);
    const detected = this.#options.detect(this.#received);
    if (detected !== undefined) this.#handOver(detected);
    else if (this.#received.length > BYTES_MAX) this.close();
  }

  end(): void {
    this.close();
  }

  failed(): void {
    this.close();
  }

  #handOver({ protocol, early, address }: Detected): void {
    this.#leave();
    const { wire, place, host } = this.#accepted;
    let { client } = this.#accepted;
    if (address !== undefined) {
      client = { ...client, address };
      if (!host.admit(wire, client, place)) return;
    }
    place.of = protocol.serve({ wire, client, early, place, host });
  }

  #leave(): void {
    this.#isOver = true;
    this.#context.idle.unwatch(this);
    this.#accepted.wire.deliverTo(undefined);
  }

  #closed(): void {
    if (this.#isOver) return;
    this.#leave();
    this.#accepted.host.closed(this.#accepted.place);
  }
}
