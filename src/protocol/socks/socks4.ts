import { ProxyError } from '../../contracts/failure.ts';
import type { Authority } from '../../contracts/request.ts';
import { parseIp } from '../addresses/ip-address.ts';
import type { ParseResult } from './socks-request.ts';

/**
 * SOCKS 4 and 4A have no RFC: "SOCKS: A protocol for TCP proxy across firewalls" (Y.-D. Lee, NEC) and its extension by
 * the same author. A CONNECT is one message each way.
 */
const VERSION = 4;
const CONNECT = 1;
const REPLY_BYTES = 8;
/** 4A: an invalid address announces that a name follows. */
const NAME_FOLLOWS = [0, 0, 0, 1];

/** Codes of a reply. 92 and 93 are about an ident daemon on the client's side, which is no longer in use. */
export const SOCKS4_GRANTED = 90;
export const SOCKS4_REFUSED = 91;
export const SOCKS4_IDENT_REFUSALS: readonly number[] = [92, 93];

/** Requests a connection: by address where the host is an IPv4 address, else by name (4A). `user` may be empty. */
export function socks4Connect({ host, port }: Authority, user: string): Buffer {
  if (host.includes('\0') || user.includes('\0'))
    throw new ProxyError('bad_request', 'a host or user name with a NUL cannot be sent over SOCKS4');
  const address = parseIp(host);
  const isName = address?.family !== 4;
  return Buffer.concat([
    Buffer.from([VERSION, CONNECT, port >> 8, port & 0xff, ...(isName ? NAME_FOLLOWS : address.octets)]),
    Buffer.from(`${user}\0${isName ? `${host}\0` : ''}`),
  ]);
}

/** The code of the reply. `undefined` while it is incomplete; throws `upstream_protocol` as soon as it is malformed. */
export function parseSocks4Reply(bytes: Buffer): ParseResult<number> | undefined {
  const [version, code] = bytes;
  if (version !== undefined && version !== 0)
    throw new ProxyError('upstream_protocol', 'the response is not valid SOCKS4');
  return code === undefined || bytes.length < REPLY_BYTES ? undefined : { value: code, length: REPLY_BYTES };
}
