import type { Identified } from '../core/stages.ts';
import { hostKey } from '../protocol/authority.ts';
import { formatIp, type IpAddress, parseIpWithZone, withoutMapping } from '../protocol/ip-address.ts';
import type { Per } from './options.ts';

/** What limits know of a request. */
export interface Subject {
  readonly id: string;
  /** `undefined` for a client that has no address, e.g. on a unix socket. */
  readonly address: IpAddress | undefined;
  /** The client's address; for IPv6 its /64, of which one household has all 2^64. */
  readonly client: string;
  /** Empty when nobody had to say who they are. */
  readonly user: string;
  readonly host: string;
  readonly port: number;
  /** A CONNECT, or a request that offers to become something else: a WebSocket stays open as long as any tunnel. */
  readonly isTunnel: boolean;
}

export function subjectOf({ request, principal }: Identified): Subject {
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

function clientKey(address: IpAddress): string {
  if (address.family === 4) return formatIp(address);
  return `${formatIp({ family: 6, octets: address.octets.map((octet, at) => (at < 8 ? octet : 0)) })}/64`;
}

/**
 * Who shares a budget with this request. Without a user name the client's address stands for one, so that a limit per
 * user limits anonymous traffic too; the colon keeps it apart from names, which cannot hold one (RFC 7617 §2).
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
