import { ProxyError } from '../../contracts/failure.ts';
import { formatIp } from '../addresses/ip-address.ts';
import type { ParseResult, SocksRequest } from './socks-request.ts';

/** The server's side of SOCKS5: what clients send (RFC 1928 §3 and §4, RFC 1929 §2), and our replies. */
export const SOCKS5_VERSION = 5;
const LOGIN_VERSION = 1;
const IPV4 = 1;
const NAME = 3;
const IPV6 = 4;

/** The authentication methods that the client offers. `undefined` while it is incomplete; the version was checked before. */
export function parseSocks5Greeting(bytes: Buffer): ParseResult<readonly number[]> | undefined {
  const count = bytes[1];
  if (count === undefined || bytes.length < 2 + count) return undefined;
  if (count === 0) throw new ProxyError('bad_request', 'the SOCKS5 greeting offers no authentication method');
  return { value: [...bytes.subarray(2, 2 + count)], length: 2 + count };
}

export interface Socks5Login {
  readonly username: string;
  readonly password: string;
}

/** User name and password (RFC 1929 §2). Text that is no UTF-8 belongs to no user: the name comes back empty. */
export function parseSocks5Login(bytes: Buffer): ParseResult<Socks5Login> | undefined {
  const [version, nameBytes] = bytes;
  if (version !== undefined && version !== LOGIN_VERSION)
    throw new ProxyError('bad_request', `the SOCKS5 login has version ${version}, not 1`);
  if (nameBytes === undefined) return undefined;
  const passwordBytes = bytes[2 + nameBytes];
  if (passwordBytes === undefined) return undefined;
  const length = 3 + nameBytes + passwordBytes;
  if (bytes.length < length) return undefined;
  const username = decoded(bytes.subarray(2, 2 + nameBytes));
  const password = decoded(bytes.subarray(3 + nameBytes, length));
  const isText = username !== undefined && password !== undefined;
  return { value: isText ? { username, password } : { username: '', password: '' }, length };
}

/** The request (RFC 1928 §4). Throws as soon as it is certain that no valid one follows. */
export function parseSocks5Request(bytes: Buffer): ParseResult<SocksRequest> | undefined {
  const [version, command, , kind, first] = bytes;
  if (version !== undefined && version !== SOCKS5_VERSION)
    throw new ProxyError('bad_request', `the SOCKS5 request has version ${version}, not 5`);
  if (command === undefined || kind === undefined) return undefined;
  if (kind !== IPV4 && kind !== NAME && kind !== IPV6)
    throw new ProxyError('address_type_unsupported', `address type ${kind} in a SOCKS5 request`);
  if (first === undefined) return undefined;
  const at = kind === NAME ? 5 : 4;
  const end = at + (kind === NAME ? first : kind === IPV4 ? 4 : 16);
  if (bytes.length < end + 2) return undefined;
  const host = bytes.subarray(at, end);
  const text = kind === NAME ? host.toString('latin1') : formatIp({ family: kind === IPV4 ? 4 : 6, octets: [...host] });
  return { value: { command, host: text, port: bytes.readUInt16BE(end) }, length: end + 2 };
}

export const socks5Choice = (method: number): Buffer => Buffer.from([SOCKS5_VERSION, method]);

export const socks5LoginStatus = (status: number): Buffer => Buffer.from([LOGIN_VERSION, status]);

/** The address that we connected from stays here: all zeros, as most servers send it. */
export const socks5Reply = (code: number): Buffer => Buffer.from([SOCKS5_VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0]);

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}
