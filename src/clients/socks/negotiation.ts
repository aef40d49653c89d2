import { ProxyError } from '../../contracts/failure.ts';
import type { LoginNeed } from '../../contracts/identity.ts';
import type { Authority } from '../../contracts/request.ts';
import { formatAuthority, parseAuthority } from '../../protocol/addresses/authority.ts';
import { parseIp } from '../../protocol/addresses/ip-address.ts';
import { SOCKS_CONNECT, type SocksRequest } from '../../protocol/socks/socks-request.ts';
import { parseSocks4Request, SOCKS4_VERSION } from '../../protocol/socks/socks4-server.ts';
import { SOCKS5_METHODS } from '../../protocol/socks/socks5.ts';
import {
  parseSocks5Greeting,
  parseSocks5Login,
  parseSocks5Request,
  SOCKS5_VERSION,
  type Socks5Login,
  socks5Choice,
  socks5LoginStatus,
} from '../../protocol/socks/socks5-server.ts';
import { SOCKS4, SOCKS5, type SocksVersion } from './version.ts';

/** Longer than any message of both versions: with more than this, the rest belongs to the tunnel. */
const MESSAGE_BYTES_MAX = 1_024;
const NOTHING: Buffer = Buffer.alloc(0);
const LOGIN_FAILED = 1;

export type NegotiationStep =
  /** More has to come first. */
  | { readonly at: 'more' }
  /** To be sent; the negotiation goes on. */
  | { readonly at: 'reply'; readonly bytes: Buffer }
  /** To be checked; then `loggedIn`. */
  | { readonly at: 'login'; readonly login: Socks5Login }
  | {
      readonly at: 'request';
      readonly version: SocksVersion;
      readonly target: Authority;
      /** That came before the request, and was right. */
      readonly login: Socks5Login | undefined;
      /** What followed the request at once: the tunnel's. */
      readonly rest: Buffer;
    }
  /** `bytes` is what the client is to read; it may be empty. */
  | { readonly at: 'refused'; readonly version: SocksVersion; readonly error: ProxyError; readonly bytes: Buffer };

/** What a client of SOCKS has sent up to its request, cut anywhere. It knows bytes alone. */
export class Negotiation {
  #received: Buffer = NOTHING;
  #stage: 'version' | 'socks4' | 'greeting' | 'login' | 'checking' | 'target' = 'version';
  #login: Socks5Login | undefined;

  /** Whether anything has arrived. */
  get hasBegun(): boolean {
    return this.#stage !== 'version' || this.#received.length > 0;
  }

  /** Nothing more should be read for now. */
  get isFull(): boolean {
    return this.#received.length > MESSAGE_BYTES_MAX;
  }

  add(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
  }

  /** The next step, until it is `more`. */
  next(requires: LoginNeed): NegotiationStep {
    try {
      return this.#next(requires);
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      return this.#refused(error);
    }
  }

  /** The login that `next` gave was right: what is to be sent. */
  loggedIn(login: Socks5Login): Buffer {
    this.#login = login;
    this.#stage = 'target';
    return socks5LoginStatus(0);
  }

  /** The version of the client, as far as it is known. */
  get version(): SocksVersion {
    return this.#stage === 'socks4' ? SOCKS4 : SOCKS5;
  }

  #next(requires: LoginNeed): NegotiationStep {
    switch (this.#stage) {
      case 'version':
        return this.#readVersion(requires);
      case 'socks4':
        return this.#request(parseSocks4Request(this.#received));
      case 'greeting':
        return this.#greet(requires);
      case 'login': {
        const parsed = parseSocks5Login(this.#received);
        if (parsed === undefined) return MORE;
        this.#drop(parsed.length);
        this.#stage = 'checking';
        return { at: 'login', login: parsed.value };
      }
      case 'checking':
        return MORE;
      case 'target':
        return this.#request(parseSocks5Request(this.#received));
    }
  }

  #readVersion(requires: LoginNeed): NegotiationStep {
    const [version] = this.#received;
    if (version === undefined) return MORE;
    if (version === SOCKS5_VERSION) this.#stage = 'greeting';
    else if (version === SOCKS4_VERSION) this.#stage = 'socks4';
    else throw new ProxyError('bad_request', otherProtocol(version));
    return this.#next(requires);
  }

  #greet(requires: LoginNeed): NegotiationStep {
    const parsed = parseSocks5Greeting(this.#received);
    if (parsed === undefined) return MORE;
    const offered = parsed.value;
    this.#drop(parsed.length);
    if (requires === 'nothing' && offered.includes(SOCKS5_METHODS.none)) {
      this.#stage = 'target';
      return { at: 'reply', bytes: socks5Choice(SOCKS5_METHODS.none) };
    }
    // Where no login is required, one that insists on it may log in as anyone.
    if (offered.includes(SOCKS5_METHODS.password)) {
      this.#stage = 'login';
      return { at: 'reply', bytes: socks5Choice(SOCKS5_METHODS.password) };
    }
    if (requires === 'optional' && offered.includes(SOCKS5_METHODS.none)) {
      this.#stage = 'target';
      return { at: 'reply', bytes: socks5Choice(SOCKS5_METHODS.none) };
    }
    const why = requires === 'login' ? 'no user name and password' : 'no authentication method that is known here';
    throw new ProxyError(requires === 'login' ? 'client_auth_required' : 'bad_request', `the client offers ${why}`);
  }

  #request(parsed: { readonly value: SocksRequest; readonly length: number } | undefined): NegotiationStep {
    if (parsed === undefined) return MORE;
    const { command, host, port } = parsed.value;
    const version = this.version;
    if (command !== SOCKS_CONNECT)
      throw new ProxyError('not_implemented', `${COMMANDS[command] ?? `command ${command}`} of SOCKS`);
    const target = targetOf(host, port);
    const rest = this.#received.subarray(parsed.length);
    return { at: 'request', version, target, login: this.#login, rest };
  }

  #refused(error: ProxyError): NegotiationStep {
    const { version } = this;
    return { at: 'refused', version, error, bytes: this.refusal(error) };
  }

  /** How a client reads that it is refused at this point. */
  refusal(error: ProxyError): Buffer {
    switch (this.#stage) {
      case 'version':
        // Neither version: there are no words for it.
        if (this.#received.length > 0) return NOTHING;
        return socks5Choice(SOCKS5_METHODS.refused);
      case 'greeting':
        return socks5Choice(SOCKS5_METHODS.refused);
      case 'login':
      case 'checking':
        return socks5LoginStatus(LOGIN_FAILED);
      case 'socks4':
      case 'target':
        return this.version.refusal(error);
    }
  }

  #drop(bytes: number): void {
    this.#received = this.#received.subarray(bytes);
  }
}

const MORE: NegotiationStep = { at: 'more' };

const COMMANDS: Readonly<Record<number, string>> = { 2: 'BIND', 3: 'UDP ASSOCIATE' };

/** Held to the rules of a CONNECT: a name that looks like an address must be a valid one. Throws `bad_request`. */
function targetOf(host: string, port: number): Authority {
  const isIpv6 = parseIp(host)?.family === 6;
  return parseAuthority(isIpv6 ? formatAuthority({ host, port }) : `${host}:${port}`);
}

/** For the log. */
function otherProtocol(first: number): string {
  if (first === 0x16) return 'a TLS client at a listener for SOCKS';
  return first >= 0x41 && first <= 0x5a
    ? 'an HTTP client at a listener for SOCKS; write socks5:// for this proxy in its settings, or any:// in `listen`'
    : 'no SOCKS message begins like this';
}
