import type { IdentifiedRequest } from '../contracts/stages.ts';
import { hostKey } from '../protocol/addresses/authority.ts';
import { clientKey } from '../protocol/addresses/client-key.ts';
import { type IpAddress, parseIpWithZone, withoutMapping } from '../protocol/addresses/ip-address.ts';
import type { Per } from './options.ts';

/** What limits use of a request. */
export interface Subject {
  readonly id: string;
  /** `undefined` for a client that has no address, e.g. on a unix socket. */
  readonly address: IpAddress | undefined;
  /** The client's address; for IPv6 its /64, since one household has all 2^64 addresses of it. */
  readonly client: string;
  /** Empty when clients do not have to authenticate. */
  readonly user: string;
  readonly host: string;
  readonly port: number;
  /** A CONNECT, or a request with `Upgrade`: a WebSocket stays open as long as any tunnel. */
  readonly isTunnel: boolean;
}

export const subjectOf = (from: IdentifiedRequest): Subject => new RequestSubject(from);

/** The address is parsed where a limit asks for it: most have none, and a parsed one takes 200 bytes of each open tunnel. */
class RequestSubject implements Subject {
  readonly id: string;
  readonly user: string;
  readonly host: string;
  readonly port: number;
  readonly isTunnel: boolean;
  readonly #address: string;

  constructor({ request, principal }: IdentifiedRequest) {
    this.id = request.id;
    this.#address = request.client.address;
    this.user = principal.name;
    this.host = hostKey(request.target.host);
    this.port = request.target.port;
    this.isTunnel = request.kind === 'tunnel' || request.headers.some(([name]) => name.toLowerCase() === 'upgrade');
  }

  get address(): IpAddress | undefined {
    const parsed = parseIpWithZone(this.#address);
    return parsed && withoutMapping(parsed);
  }

  get client(): string {
    const { address } = this;
    return address ? clientKey(address) : this.#address;
  }
}

/**
 * Requests with the same key share a budget. Without a user name the client's address stands for one, so that a limit
 * per user limits anonymous traffic too; the colon keeps it apart from names, which cannot hold one (RFC 7617 §2).
 */
export function keyOf(per: Per, subject: Subject): string {
  switch (per) {
    case 'proxy':
      return '';
    case 'client':
      return subject.client;
    case 'user':
      return subject.user === '' ? `:${subject.client}` : subject.user;
    case 'host':
      return subject.host;
    case 'tunnel':
      return subject.id;
  }
}
