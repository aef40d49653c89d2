import type { Dialer, DialHop, DialScope } from '../../contracts/dialing.ts';
import { type FailureCode, ProxyError } from '../../contracts/failure.ts';
import type { Authority } from '../../contracts/request.ts';
import type { Connection, Hop } from '../../contracts/stages.ts';
import { formatHop } from '../../protocol/routes/proxy-url.ts';
import {
  parseSocks5LoginReply,
  parseSocks5Method,
  parseSocks5Reply,
  SOCKS5_METHODS,
  socks5Connect,
  socks5Greeting,
  socks5Login,
} from '../../protocol/socks/socks5.ts';
import { ResponseTimer } from '../response-timer.ts';
import { withEarly } from '../with-early.ts';
import { SocksExchange } from './socks-exchange.ts';

export interface SocksOptions {
  /** For all responses of the proxy together, in milliseconds; it connects to the target meanwhile. */
  readonly headMs: number;
}

/** SOCKS5 (RFC 1928) without a login or with user and password (RFC 1929). The proxy resolves the name. */
export class Socks5Dialer implements Dialer {
  readonly schemes = ['socks5'] as const;
  readonly #options: SocksOptions;

  constructor(options: SocksOptions) {
    this.#options = options;
  }

  async dial(hop: Hop, to: Authority, within: DialScope, dialProxy: DialHop): Promise<Connection> {
    const connection = await dialProxy();
    try {
      using timer = new ResponseTimer(within, this.#options.headMs, 'upstream_timeout');
      timer.begin();
      const exchange = new SocksExchange(connection, timer);
      await authenticate(exchange, hop, within);
      const code = await exchange.request(socks5Connect(to), parseSocks5Reply);
      if (code !== 0) throw refusedBy(hop, code);
      return withEarly(connection, exchange.rest);
    } catch (error) {
      connection[Symbol.dispose]();
      throw error;
    }
  }
}

async function authenticate(exchange: SocksExchange, hop: Hop, { commit }: DialScope): Promise<void> {
  const { none, password } = SOCKS5_METHODS;
  const offered: readonly number[] = hop.login === undefined ? [none] : [none, password];
  const method = await exchange.request(socks5Greeting(offered), parseSocks5Method);
  if (!offered.includes(method)) throw methodRefused(hop, method);
  if (method === none || hop.login === undefined) return;
  // As after a 407: what follows is about our login, and no other route may answer the request instead.
  commit?.();
  const { user, password: secret } = hop.login;
  const status = await exchange.request(socks5Login(user, secret.reveal()), parseSocks5LoginReply);
  if (status === 0) return;
  throw new ProxyError('upstream_auth_failed', `${formatHop(hop)}: login refused with status ${status}`, {
    clientDetail: `${formatHop(hop)} did not accept the user name and password.`,
  });
}

/** No other proxy is tried: this one is up, and requires a login that we cannot give. */
function methodRefused(hop: Hop, method: number): ProxyError {
  const { password, refused } = SOCKS5_METHODS;
  const isKnown = method === password || method === refused;
  const requirement = isKnown
    ? 'requires a user name and password; write them into its URL'
    : `requires a method of authentication that is not known here (${method})`;
  const reason =
    hop.login !== undefined && isKnown ? 'accepts no method that was offered, with a login or without' : requirement;
  return new ProxyError('upstream_auth_failed', `${formatHop(hop)}: SOCKS5 method ${method} was not offered`, {
    clientDetail: `${formatHop(hop)} ${reason}.`,
  });
}

/**
 * Replies of RFC 1928 §6. None makes another proxy be tried: this one is up, and 1 and 3 to 6 are about the target.
 * (Chromium fails over on all but 4, and then counts a proxy as dead because of one site.)
 */
const REPLIES: Readonly<Record<number, readonly [code: FailureCode, meaning: string]>> = {
  1: ['upstream_failed', 'general failure'],
  2: ['upstream_refused', 'not allowed by its rules'],
  3: ['upstream_failed', 'network unreachable'],
  4: ['upstream_failed', 'host unreachable'],
  5: ['upstream_failed', 'connection refused'],
  6: ['upstream_failed', 'TTL expired'],
  7: ['upstream_refused', 'command not supported'],
  8: ['upstream_refused', 'address type not supported'],
};

function refusedBy(hop: Hop, reply: number): ProxyError {
  const [code, meaning] = REPLIES[reply] ?? ['upstream_refused', 'a reply without a meaning'];
  return new ProxyError(code, `${formatHop(hop)} replied ${reply}, ${meaning}`, {
    clientDetail: `It responded with "${meaning}" (${reply}).`,
  });
}
