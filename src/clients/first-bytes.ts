import { ProxyError } from '../contracts/failure.ts';
import type { ClientInfo, RequestProtocol } from '../contracts/request.ts';
import type { Ownership } from '../contracts/wire.ts';
import { recordRefused } from '../pipeline/record-refused.ts';
import { NO_SLOT } from '../util/slot-list.ts';
import type {
  AcceptedClient,
  ClientConnection,
  ClientContext,
  ClientProtocol,
  EvictedClient,
} from './client-protocol.ts';
import { ClientSocket, type SocketUser } from './client-socket.ts';

/** What the first bytes of a client say. */
export type FirstBytesVerdict =
  /** `early`: what is behind the bytes that were for us. `client`: another address of it has become known. */
  | {
      readonly at: 'serve';
      readonly protocol: ClientProtocol;
      readonly early: Buffer;
      readonly client?: ClientInfo | undefined;
    }
  | { readonly at: 'refused'; readonly error: ProxyError };

export interface FirstBytesReader {
  /** As the record of a client has it that sends something else. */
  readonly protocol: RequestProtocol;
  /** Of all that has arrived. `undefined`: more has to come. It refuses what becomes too long. */
  read(bytes: Buffer, client: ClientInfo): FirstBytesVerdict | undefined;
  /** In whose words a client is rejected that has sent nothing yet. */
  readonly rejectedBy: ClientProtocol;
}

/**
 * A connection whose first bytes decide which protocol serves it: it hands over the wire, its place and what it has read.
 * All of these bytes together have as long as a client may be silent.
 */
export class FirstBytesConnection implements ClientConnection, SocketUser {
  slot: number = NO_SLOT;
  silentSinceMs = 0;
  readonly #accepted: AcceptedClient;
  readonly #context: ClientContext;
  readonly #reader: FirstBytesReader;
  readonly #socket: ClientSocket;
  #received: Buffer = Buffer.alloc(0);
  #state: 'reading' | 'handed-over' | 'gone' = 'reading';

  constructor(accepted: AcceptedClient, reader: FirstBytesReader, context: ClientContext) {
    this.#accepted = accepted;
    this.#reader = reader;
    this.#context = context;
    this.#socket = new ClientSocket(accepted, this, context);
    this.#socket.begin();
  }

  get active(): number {
    return this.#state === 'reading' && this.#received.length > 0 ? 1 : 0;
  }

  close(): void {
    if (this.active === 0) this.#accepted.wire.stream.destroy();
  }

  abort(): void {
    this.#accepted.wire.stream.destroy();
  }

  evict(why: ProxyError, id: string): EvictedClient {
    this.#socket.closed();
    return { wire: this.#accepted.wire, rejection: this.#reader.rejectedBy.reject(why, id) };
  }

  get limitMs(): number {
    return this.#context.requestHeadMs;
  }

  /** Never: a byte now and then is no progress. */
  wasTouched(): boolean {
    return false;
  }

  expired(): void {
    if (this.#received.length > 0)
      this.#refuse(new ProxyError('client_too_slow', 'the first bytes of the connection stopped'));
    else this.#accepted.wire.stream.destroy();
  }

  bytes(chunk: Buffer, ownership: Ownership): void {
    if (this.#state !== 'reading') return;
    const isWhole = this.#received.length === 0;
    this.#received = isWhole
      ? ownership === 'fresh'
        ? chunk
        : Buffer.from(chunk)
      : Buffer.concat([this.#received, chunk]);
    const verdict = this.#reader.read(this.#received, this.#accepted.client);
    if (verdict === undefined) return;
    if (verdict.at === 'refused') this.#refuse(verdict.error);
    else this.#handOver(verdict);
  }

  end(): void {
    this.#accepted.wire.stream.destroy();
  }

  failed(): void {
    this.#accepted.wire.stream.destroy();
  }

  #handOver({ protocol, early, client }: FirstBytesVerdict & { readonly at: 'serve' }): void {
    const { wire, place, host } = this.#accepted;
    this.#state = 'handed-over';
    this.#socket.handOver();
    if (client !== undefined && !host.admit(wire, client, place)) return;
    place.of = protocol.serve({ ...this.#accepted, early, client: client ?? this.#accepted.client });
  }

  /** There is no protocol yet in which it could be said. */
  #refuse(error: ProxyError): void {
    const { client, wire } = this.#accepted;
    const { protocol } = this.#reader;
    const refused = { id: this.#context.nextId(), protocol, client, sent: undefined };
    recordRefused(error, refused, this.#context.services(), this.#context.sessions);
    wire.stream.destroy();
  }

  onClosed(): void {
    this.#state = 'gone';
  }
}
