import { ProxyError } from '../../contracts/failure.ts';
import type { Authority } from '../../contracts/request.ts';
import { parseIp } from '../addresses/ip-address.ts';
import type { ParseResult } from './socks-request.ts';

const VERSION = 5;
const CONNECT = 1;
const IPV4 = 1;
const NAME = 3;
const IPV6 = 4;
/** One octet counts the bytes of a name, a user and a password. */
const TEXT_BYTES_MAX = 255;

/** Authentication methods (RFC 1928 §3). */
export const SOCKS5_METHODS: { readonly none: 0; readonly password: 2; readonly refused: 255 } = {
  none: 0,
  password: 2,
  refused: 255,
};

/** The first message: the authentication methods that the client offers. */
export const socks5Greeting = (methods: readonly number[]): Buffer =>
  Buffer.from([VERSION, methods.length, ...methods]);

/** The method that the proxy has chosen, or `refused`; it may be one that was not in the greeting. */
export function parseSocks5Method(bytes: Buffer): ParseResult<number> | undefined {
  const method = secondOctet(bytes, VERSION, 'choice of a method');
  return method === undefined ? undefined : { value: method, length: 2 };
}

/** User and password (RFC 1929 §2), as UTF-8. */
export const socks5Login = (user: string, password: string): Buffer =>
  Buffer.concat([Buffer.from([1]), counted(user, 'user name'), counted(password, 'password')]);

/** 0 when the login was accepted. Some servers send version 5 here instead of 1. */
export function parseSocks5LoginReply(bytes: Buffer): ParseResult<number> | undefined {
  const version = bytes[0] === VERSION ? VERSION : 1;
  const status = secondOctet(bytes, version, 'reply to a login');
  return status === undefined ? undefined : { value: status, length: 2 };
}

/** Requests a connection (RFC 1928 §4): an address as an address, any other host as a name. */
export function socks5Connect({ host, port }: Authority): Buffer {
  const address = parseIp(host);
  const destination =
    address === undefined
      ? [Buffer.from([NAME]), counted(host, 'host name')]
      : [Buffer.from([address.family === 4 ? IPV4 : IPV6, ...address.octets])];
  return Buffer.concat([Buffer.from([VERSION, CONNECT, 0]), ...destination, Buffer.from([port >> 8, port & 0xff])]);
}

/**
 * The reply's code (RFC 1928 §6), 0 when the connection is open: then the reply includes the address from which the proxy
 * connected, and the tunnel begins behind it. For a refusal the first two octets are enough; some servers send no more.
 */
export function parseSocks5Reply(bytes: Buffer): ParseResult<number> | undefined {
  const code = secondOctet(bytes, VERSION, 'reply');
  if (code === undefined) return undefined;
  if (code !== 0) return { value: code, length: bytes.length };
  const kind = bytes[3];
  if (kind === undefined) return undefined;
  const length = 4 + addressBytes(kind, bytes[4]) + 2;
  return bytes.length < length ? undefined : { value: code, length };
}

/** Length of an address of this type; of a name including its length octet, once that has arrived. */
function addressBytes(kind: number, first: number | undefined): number {
  if (kind === IPV4) return 4;
  if (kind === IPV6) return 16;
  if (kind === NAME) return 1 + (first ?? TEXT_BYTES_MAX);
  throw new ProxyError('upstream_protocol', `the SOCKS5 reply has an address of type ${kind}, which does not exist`);
}

/** The octet behind the version, once it has arrived. */
function secondOctet(bytes: Buffer, version: number, what: string): number | undefined {
  if (bytes[0] !== undefined && bytes[0] !== version)
    throw new ProxyError('upstream_protocol', `the SOCKS5 ${what} is not valid`);
  return bytes[1];
}

function counted(text: string, what: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > TEXT_BYTES_MAX) {
    throw new ProxyError('bad_request', `the ${what} has ${bytes.length} bytes, and SOCKS5 carries ${TEXT_BYTES_MAX}`);
  }
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}
