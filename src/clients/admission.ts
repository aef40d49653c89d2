import { ProxyError } from '../contracts/failure.ts';
import type { ClientInfo } from '../contracts/request.ts';
import type { Wire } from '../contracts/wire.ts';
import { recordRefused } from '../pipeline/record-refused.ts';
import { clientKeyOf } from '../protocol/addresses/client-key.ts';
import type { ClientConnection, ClientContext, ClientPlace, ClientProtocol } from './client-protocol.ts';
import type { NoPlace, Places } from './places.ts';
import type { RejectedClients } from './rejected-clients.ts';
import { RejectionCounter } from './rejection-counter.ts';

export interface AdmissionOptions {
  readonly context: ClientContext;
  /** Of all listeners together; a connection that gets none is rejected as `at_capacity`. */
  readonly places: Places<ClientConnection>;
  readonly rejected: RejectedClients;
  /** `port`: other processes of this proxy listen on the same ports, and the kernel deals connections out to all. */
  readonly sharing?: 'port' | undefined;
}

/** The listener that clients are admitted to. */
export interface AdmissionHost {
  warn(message: string): void;
  /** Why this listener does not serve a client that the configuration may allow; `undefined`: it does. */
  refusal(client: ClientInfo): ProxyError | undefined;
  /** So many clients have just been rejected that it should accept no more for now. */
  crowded(): void;
}

/** Decides by the address of a client whether a listener serves it, and rejects it in the words of a protocol. */
export class Admission implements Disposable {
  readonly #protocol: ClientProtocol;
  readonly #options: AdmissionOptions;
  readonly #host: AdmissionHost;
  readonly #rejections: RejectionCounter;

  constructor(protocol: ClientProtocol, options: AdmissionOptions, host: AdmissionHost) {
    this.#protocol = protocol;
    this.#options = options;
    this.#host = host;
    this.#rejections = new RejectionCounter(options.context.clock, (message) => host.warn(message));
  }

  /**
   * Applies the client filter, and counts `place` as one of this client. False: the client was rejected, and the place is
   * not counted any more. Also for a place that was counted as one of another address before.
   */
  admit(wire: Wire, client: ClientInfo, place: ClientPlace): boolean {
    const { context, places } = this.#options;
    const refused = this.#host.refusal(client) ?? context.services().clientFilter?.refusal(client);
    if (refused === undefined) return this.takePlace(wire, client, place);
    // Without a place: the client could only wait for the same refusal.
    places.release(place);
    this.#refuse(wire, client, refused);
    return false;
  }

  /** As `admit`, for an address that is not the client's: that of a load balancer, whose client has yet to be named. */
  takePlace(wire: Wire, client: ClientInfo, place: ClientPlace): boolean {
    const { places } = this.#options;
    places.release(place);
    const block = clientKeyOf(client.address);
    const space = places.makePlace(block);
    if (space.at === 'none') {
      this.#rejectOverCapacity(wire, block, space.why);
      return false;
    }
    if (space.at === 'evicted') this.#evict(space.place);
    places.take(place, block);
    return true;
  }

  [Symbol.dispose](): void {
    this.#rejections[Symbol.dispose]();
  }

  /**
   * Closes an idle connection, for another one. A client that has sent no request yet may be about to, and is rejected;
   * any other connection may be closed at any time (RFC 9112 §9.5).
   */
  #evict({ of: connection, activity }: ClientPlace): void {
    if (connection === undefined) return;
    if (activity !== 'fresh') return connection.close();
    const { places, context } = this.#options;
    this.#countRejection(`${places.max} are open`);
    const { wire, rejection } = connection.evict(atCapacity(), context.nextId());
    this.#reject(wire, rejection.bytes);
  }

  #rejectOverCapacity(wire: Wire, block: string, why: NoPlace): void {
    const { places, context } = this.#options;
    const open =
      why === 'all-taken' ? `${places.max} are open` : `${places.shareMax} are open from ${block || 'there'}`;
    this.#countRejection(open);
    this.#reject(wire, this.#protocol.reject(atCapacity(), context.nextId()).bytes);
  }

  /** Of several processes each reports its own. */
  #countRejection(why: string): void {
    this.#rejections.add(this.#options.sharing === undefined ? why : `${why} in process ${process.pid}`);
  }

  #refuse(wire: Wire, client: ClientInfo, why: ProxyError): void {
    const { context } = this.#options;
    const { protocol } = this.#protocol;
    const id = context.nextId();
    const { bytes, sent } = this.#protocol.reject(why, id);
    recordRefused(why, { id, protocol, client, sent }, context.services(), context.sessions);
    this.#reject(wire, bytes);
  }

  #reject(wire: Wire, bytes: Buffer): void {
    const { rejected } = this.#options;
    rejected.add(wire, bytes);
    if (rejected.isCrowded) this.#host.crowded();
  }
}

/** Gets no record: a flood of clients would fill the log. */
const atCapacity = (): ProxyError =>
  new ProxyError('at_capacity', 'too many connections', { headers: [['Retry-After', '1']] });
