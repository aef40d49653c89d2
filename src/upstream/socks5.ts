import type { Dialer, DialScope, Reach } from '../core/contracts.ts';
import { type FailureCode, ProxyError } from '../core/failure.ts';
import type { Authority } from '../core/request.ts';
import type { Connection, Hop } from '../core/stages.ts';
import { formatHop } from '../protocol/proxy-url.ts';
import {
  parseSocks5LoginReply,
  parseSocks5Method,
  parseSocks5Reply,
  SOCKS5_METHODS,
  socks5Connect,
  socks5Greeting,
  socks5Login,
} from '../protocol/socks5.ts';
import { Patience } from './patience.ts';
import { SocksTalk } from './socks-talk.ts';
import { withEarly } from './with-early.ts';

export interface SocksOptions {
  /** For all answers of the proxy together, in milliseconds; it connects to the target meanwhile. */
  readonly headMs: number;
}

/** SOCKS5 (RFC 1928) without a login or with user and password (RFC 1929). The proxy resolves the name. */
export class Socks5Dialer implements Dialer {
  readonly schemes = ['socks5'] as const;
  readonly #options: SocksOptions;

  constructor(options: SocksOptions) {
    this.#options = options;
  }

  async dial(hop: Hop, to: Authority, within: DialScope, reach: Reach): Promise<Connection> {
    const connection = await reach();
    try {
      using patience = new Patience(within.signal, this.#options.headMs, 'parent_silent');
      patience.begin();
      const talk = new SocksTalk(connection, patience);
      await sayWhoWeAre(talk, hop);
      const code = await talk.ask(socks5Connect(to), parseSocks5Reply);
      if (code !== 0) throw refusedBy(hop, code);
      return withEarly(connection, talk.rest);
    } catch (error) {
      connection[Symbol.dispose]();
      throw error;
    }
  }
}

async function sayWhoWeAre(talk: SocksTalk, hop: Hop): Promise<void> {
  const { none, password, refused } = SOCKS5_METHODS;
  const offered = hop.login === undefined ? [none] : [none, password];
  const method = await talk.ask(socks5Greeting(offered), (bytes) => parseSocks5Method(bytes, offered));
  if (method === refused) {
    const told = hop.login === undefined ? 'wants to know who asks' : 'takes neither a login nor none';
    throw new ProxyError('proxy_auth_failed', `${formatHop(hop)}: no method is acceptable`, {
      told: `${formatHop(hop)} ${told}.`,
    });
  }
  if (method === none || hop.login === undefined) return;
  const { user, password: secret } = hop.login;
  const status = await talk.ask(socks5Login(user, secret.reveal()), parseSocks5LoginReply);
  if (status === 0) return;
  throw new ProxyError('proxy_auth_failed', `${formatHop(hop)}: login refused with status ${status}`, {
    told: `${formatHop(hop)} did not accept the user name and password.`,
  });
}

/**
 * Replies of RFC 1928 §6. None makes another proxy be tried: this one is alive, and 1 and 3 to 6 are about the target.
 * (Chromium fails over on all but 4, and then counts a proxy as dead because of one site.)
 */
const REPLIES: Readonly<Record<number, readonly [code: FailureCode, meaning: string]>> = {
  1: ['parent_failed', 'general failure'],
  2: ['parent_refused', 'not allowed by its rules'],
  3: ['parent_failed', 'network unreachable'],
  4: ['parent_failed', 'host unreachable'],
  5: ['parent_failed', 'connection refused'],
  6: ['parent_failed', 'TTL expired'],
  7: ['parent_refused', 'command not supported'],
  8: ['parent_refused', 'address type not supported'],
};

function refusedBy(hop: Hop, reply: number): ProxyError {
  const [code, meaning] = REPLIES[reply] ?? ['parent_refused', 'a reply without a meaning'];
  return new ProxyError(code, `${formatHop(hop)} replied ${reply}, ${meaning}`, {
    told: `It answered "${meaning}" (${reply}).`,
  });
}
