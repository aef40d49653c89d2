import { ProxyError } from '../../contracts/failure.ts';
import type { ParseResult, SocksRequest } from './socks-request.ts';

/** The server's side of SOCKS 4 and 4A: one message each way. */
export const SOCKS4_VERSION = 4;
const ADDRESS_AT = 4;
const USER_AT = 8;
/** A user name and a host name may have so many bytes each: neither message says how long they are. */
const TEXT_BYTES_MAX = 255;

/**
 * The request. The user name is read and dropped: without a password it proves nothing. 0.0.0.x announces a name (4A).
 * `undefined` while it is incomplete; the version was checked before.
 */
export function parseSocks4Request(bytes: Buffer): ParseResult<SocksRequest> | undefined {
  const userEnd = endOfText(bytes, USER_AT, 'user name');
  const command = bytes[1];
  if (userEnd === undefined || command === undefined) return undefined;
  const port = bytes.readUInt16BE(2);
  const address = bytes.subarray(ADDRESS_AT, USER_AT);
  const [a, b, c, d] = address;
  const isNamed = a === 0 && b === 0 && c === 0 && d !== 0;
  if (!isNamed) return { value: { command, host: address.join('.'), port }, length: userEnd + 1 };
  const nameEnd = endOfText(bytes, userEnd + 1, 'host name');
  if (nameEnd === undefined) return undefined;
  return { value: { command, host: bytes.toString('latin1', userEnd + 1, nameEnd), port }, length: nameEnd + 1 };
}

export const socks4Reply = (code: number): Buffer => Buffer.from([0, code, 0, 0, 0, 0, 0, 0]);

/** Where a NUL ends it. */
function endOfText(bytes: Buffer, from: number, what: string): number | undefined {
  const end = bytes.indexOf(0, from);
  if (end >= from && end - from <= TEXT_BYTES_MAX) return end;
  if (bytes.length - from > TEXT_BYTES_MAX)
    throw new ProxyError('bad_request', `the ${what} of a SOCKS4 request is longer than ${TEXT_BYTES_MAX} bytes`);
  return undefined;
}
