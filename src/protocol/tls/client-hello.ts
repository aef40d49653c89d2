/** What the first bytes of a tunnel are, as far as they have arrived. */
export type ClientHelloProgress =
  /** All bytes so far may begin a ClientHello. */
  { readonly at: 'more' } | ({ readonly at: 'hello' } & ClientHello) | { readonly at: 'not-tls' };

export interface ClientHello {
  /** The name that the client asks for (RFC 6066 §3), in the clear even in TLS 1.3; absent for an IP address. */
  readonly serverName?: string;
  /** Protocols offered by ALPN, most preferred first (RFC 7301): `h2`, `http/1.1`. */
  readonly alpn: readonly string[];
  /** Versions offered, most preferred first: `TLS 1.3`. GREASE values (RFC 8701) are left out. */
  readonly versions: readonly string[];
  /** Whether an encrypted inner hello is offered: then `serverName` may be a public decoy (Encrypted Client Hello). */
  readonly encrypted: boolean;
  /** Length of the message, without the heads of the records that carried it. */
  readonly bytes: number;
}

/** A hello with a post-quantum key share has 1.8 kB. One that does not end within this bound is not parsed. */
export const CLIENT_HELLO_BYTES_MAX: number = 16 * 1024;

const NOT_TLS = { at: 'not-tls' } as const;
const MORE = { at: 'more' } as const;

/**
 * Reads a TLS ClientHello (RFC 8446 §4.1.2) from the first bytes of a stream; call it again with more of them while it
 * returns `more`. Never throws. The result is only what the client claims.
 */
export function readClientHello(seen: Uint8Array): ClientHelloProgress {
  const body = firstMessage(seen.subarray(0, CLIENT_HELLO_BYTES_MAX));
  if (body === 'not-tls') return NOT_TLS;
  if (body === 'more') return seen.length < CLIENT_HELLO_BYTES_MAX ? MORE : NOT_TLS;
  const hello = parseHello(new Reader(body));
  return hello ? { at: 'hello', ...hello, bytes: HANDSHAKE_HEAD_BYTES + body.length } : NOT_TLS;
}

const RECORD_HEAD_BYTES = 5;
const HANDSHAKE_RECORD = 22;
/** RFC 8446 §5.1: a plaintext record is never longer. */
const RECORD_BYTES_MAX = 16_384;
const HANDSHAKE_HEAD_BYTES = 4;
const CLIENT_HELLO = 1;

/** The body of the first handshake message. It may be spread over records in any way, down to a byte in each. */
function firstMessage(seen: Uint8Array): Uint8Array | 'more' | 'not-tls' {
  const carried = new Uint8Array(seen.length);
  let have = 0;
  let at = 0;
  while (at < seen.length) {
    const record = new Reader(seen.subarray(at));
    const type = record.uint8();
    const major = record.uint8();
    const minor = record.uint8();
    const length = record.uint16();
    if (type !== HANDSHAKE_RECORD || (major ?? 3) !== 3 || (minor ?? 0) > 4) return 'not-tls';
    if (length === undefined) return 'more';
    // An empty handshake record is forbidden (RFC 8446 §5.1); if allowed, a hello could go on without end.
    if (length === 0 || length > RECORD_BYTES_MAX) return 'not-tls';
    const fragment = seen.subarray(at + RECORD_HEAD_BYTES, at + RECORD_HEAD_BYTES + length);
    carried.set(fragment, have);
    have += fragment.length;
    at += RECORD_HEAD_BYTES + length;

    const message = new Reader(carried.subarray(0, have));
    if ((message.uint8() ?? CLIENT_HELLO) !== CLIENT_HELLO) return 'not-tls';
    const size = message.uint24();
    const body = size === undefined ? undefined : message.take(size);
    if (body) return body;
  }
  return 'more';
}

const SERVER_NAME = 0;
const ALPN = 16;
const SUPPORTED_VERSIONS = 43;
const ENCRYPTED_CLIENT_HELLO = 0xfe0d;
const HOST_NAME = 0;
const RANDOM_BYTES = 32;

const VERSIONS: Readonly<Record<number, string>> = {
  768: 'SSL 3.0',
  769: 'TLS 1.0',
  770: 'TLS 1.1',
  771: 'TLS 1.2',
  772: 'TLS 1.3',
};

function parseHello(body: Reader): Omit<ClientHello, 'bytes'> | undefined {
  const legacyVersion = body.uint16();
  const random = body.take(RANDOM_BYTES);
  const session = body.vector8();
  const suites = body.vector16();
  const compressions = body.vector8();
  if (legacyVersion === undefined || !random || !session || !suites || !compressions) return undefined;

  let serverName: string | undefined;
  let alpn: readonly string[] = [];
  let versions: readonly number[] = [legacyVersion];
  let encrypted = false;
  // A hello without extensions ends here (RFC 5246 §7.4.1.2).
  const extensions = body.left === 0 ? new Reader(new Uint8Array()) : body.vector16();
  if (!extensions) return undefined;
  while (extensions.left > 0) {
    const type = extensions.uint16();
    const content = extensions.vector16();
    if (type === undefined || !content) return undefined;
    if (type === SERVER_NAME) serverName ??= hostName(content);
    else if (type === ALPN) alpn = protocolNames(content);
    else if (type === SUPPORTED_VERSIONS) versions = offeredVersions(content);
    else if (type === ENCRYPTED_CLIENT_HELLO) encrypted = true;
  }
  return {
    ...(serverName === undefined ? {} : { serverName }),
    alpn,
    versions: versions.flatMap((version) => VERSIONS[version] ?? []),
    encrypted,
  };
}

function hostName(content: Reader): string | undefined {
  const names = content.vector16();
  while (names && names.left > 0) {
    const type = names.uint8();
    const name = names.vector16();
    if (!name) return undefined;
    if (type === HOST_NAME) return name.latin1();
  }
  return undefined;
}

function protocolNames(content: Reader): string[] {
  const list = content.vector16();
  const names: string[] = [];
  while (list && list.left > 0) {
    const name = list.vector8();
    if (!name) break;
    names.push(name.latin1());
  }
  // GREASE (RFC 8701 §3.1): names that no server knows, so that servers learn to skip what they do not know.
  return names.filter((name) => !/^([\x0a\x1a\x2a\x3a\x4a\x5a\x6a\x7a\x8a\x9a\xaa\xba\xca\xda\xea\xfa])\1$/.test(name));
}

function offeredVersions(content: Reader): number[] {
  const list = content.vector8();
  const versions: number[] = [];
  while (list && list.left > 1) versions.push(list.uint16() ?? 0);
  return versions;
}

/** Reads values in sequence; `undefined` when the bytes are too few, and then for all further reads. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }
  get left(): number {
    return this.#bytes.length - this.#at;
  }
  take(count: number): Uint8Array | undefined {
    if (count > this.left) {
      this.#at = this.#bytes.length;
      return undefined;
    }
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }
  uint8(): number | undefined {
    return this.#number(1);
  }
  uint16(): number | undefined {
    return this.#number(2);
  }
  uint24(): number | undefined {
    return this.#number(3);
  }
  vector8(): Reader | undefined {
    return this.#vector(this.uint8());
  }
  vector16(): Reader | undefined {
    return this.#vector(this.uint16());
  }
  latin1(): string {
    return Buffer.from(this.#bytes).toString('latin1');
  }
  #number(count: number): number | undefined {
    return this.take(count)?.reduce((value, byte) => value * 256 + byte, 0);
  }
  #vector(length: number | undefined): Reader | undefined {
    const bytes = length === undefined ? undefined : this.take(length);
    return bytes && new Reader(bytes);
  }
}
