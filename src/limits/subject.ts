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

export function subjectOf({ request, principal }: IdentifiedRequest): Subject {
  const parsed = parseIpWithZone(request.client.address);
  const address = parsed && withoutMapping(parsed);
  return {
    id: request.id,
    address,
    client: address ? clientKey(address) : request.client.address,
    user: principal.name,
    host: hostKey(request.target.host),
    port: request.target.port,
    isTunnel: request.kind === 'tunnel' || request.headers.some(([name]) => name.toLowerCase() === 'upgrade'),
  };
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
