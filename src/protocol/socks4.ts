import { ProxyError } from '../core/failure.ts';
import type { Authority } from '../core/request.ts';
import { parseIp } from './ip-address.ts';
import type { Parsed } from './socks5.ts';

/**
 * SOCKS 4 and 4A have no RFC: "SOCKS: A protocol for TCP proxy across firewalls" (Y.-D. Lee, NEC) and its extension by
 * the same author. A CONNECT is one message each way.
 */
const VERSION = 4;
const CONNECT = 1;
const REPLY_BYTES = 8;
/** 4A: an address that no host has says that a name follows. */
const NAME_FOLLOWS = [0, 0, 0, 1];

/** What a proxy may answer. 92 and 93 are about an ident daemon on our side, which nobody runs any more. */
export const SOCKS4_GRANTED = 90;
export const SOCKS4_IDENT_REFUSALS: readonly number[] = [92, 93];

/** Asks for a connection: by address where the host is an IPv4 one, else by name (4A). `user` may be empty. */
export function socks4Connect({ host, port }: Authority, user: string): Buffer {
  if (host.includes('\0') || user.includes('\0')) throw new ProxyError('bad_request', 'a NUL where SOCKS4 ends a text');
  const address = parseIp(host);
  const isName = address?.family !== 4;
  return Buffer.concat([
    Buffer.from([VERSION, CONNECT, port >> 8, port & 0xff, ...(isName ? NAME_FOLLOWS : address.octets)]),
    Buffer.from(`${user}\0${isName ? `${host}\0` : ''}`),
  ]);
}

/** The answer's code. `undefined` while it is not complete; throws `parent_protocol` as soon as it cannot become one. */
export function parseSocks4Reply(bytes: Buffer): Parsed<number> | undefined {
  const [version, code] = bytes;
  if (version !== undefined && version !== 0) throw new ProxyError('parent_protocol', 'that is no SOCKS4 answer');
  return code === undefined || bytes.length < REPLY_BYTES ? undefined : { value: code, length: REPLY_BYTES };
}
