import { isIPv4 } from 'node:net';
import type { Dialer, DialHop, DialScope } from '../../contracts/dialing.ts';
import { asProxyError, ProxyError } from '../../contracts/failure.ts';
import type { Authority } from '../../contracts/request.ts';
import type { Connection, Hop } from '../../contracts/stages.ts';
import { formatHop } from '../../protocol/routes/proxy-url.ts';
import { parseSocks4Reply, SOCKS4_GRANTED, SOCKS4_IDENT_REFUSALS, socks4Connect } from '../../protocol/socks/socks4.ts';
import { ResponseTimer } from '../response-timer.ts';
import { withEarly } from '../with-early.ts';
import { SocksExchange } from './socks-exchange.ts';
import type { SocksOptions } from './socks5.ts';

export interface Socks4Options extends SocksOptions {
  /** Addresses of the target that the guard allows. Rejects with a ProxyError when there are none. */
  readonly addressesOf: (to: Authority, within: DialScope) => Promise<readonly string[]>;
}

/** SOCKS4, which carries IPv4 addresses only, and SOCKS4A, which carries names. The login's user goes along. */
export class Socks4Dialer implements Dialer {
  readonly schemes = ['socks4', 'socks4a'] as const;
  readonly #options: Socks4Options;

  constructor(options: Socks4Options) {
    this.#options = options;
  }

  async dial(hop: Hop, to: Authority, within: DialScope, dialProxy: DialHop): Promise<Connection> {
    // Before the proxy is connected to: a name server may take its time, and proxies close connections that stay silent.
    const host = hop.scheme === 'socks4' ? await this.#resolved(to, within) : to.host;
    const message = socks4Connect({ host, port: to.port }, hop.login?.user ?? '');
    const connection = await dialProxy();
    try {
      using timer = new ResponseTimer(within, this.#options.headMs, 'upstream_timeout');
      timer.begin();
      const exchange = new SocksExchange(connection, timer);
      const code = await exchange.request(message, parseSocks4Reply);
      if (code !== SOCKS4_GRANTED) throw refusedBy(hop, code);
      return withEarly(connection, exchange.rest);
    } catch (error) {
      connection[Symbol.dispose]();
      throw error;
    }
  }

  /** An IPv4 address of the target; its name (then it is 4A after all) when this machine knows none. */
  async #resolved(to: Authority, within: DialScope): Promise<string> {
    try {
      return (await this.#options.addressesOf(to, within)).find((address) => isIPv4(address)) ?? to.host;
    } catch (error) {
      const { code } = asProxyError(error);
      // Inside many networks only the proxy can resolve names of the world outside.
      if (code === 'dns_failed' || code === 'dns_timeout') return to.host;
      throw error;
    }
  }
}

/** One code for "not allowed" and "not reached": the name of the failure is right for both. */
function refusedBy(hop: Hop, code: number): ProxyError {
  const detail = `${formatHop(hop)} replied ${code}`;
  if (SOCKS4_IDENT_REFUSALS.includes(code)) {
    return new ProxyError('upstream_auth_failed', detail, {
      clientDetail: `${formatHop(hop)} requires an ident daemon on this machine (RFC 1413).`,
    });
  }
  return new ProxyError('upstream_refused', detail, {
    clientDetail: `It responded with "rejected or failed" (${code}).`,
  });
}
