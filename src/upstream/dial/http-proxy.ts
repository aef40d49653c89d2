import type { Dialer, DialHop, DialScope } from '../../contracts/dialing.ts';
import { FAILURES, type FailureCode, ProxyError } from '../../contracts/failure.ts';
import type { Authority, Headers } from '../../contracts/request.ts';
import type { Connection, Hop } from '../../contracts/stages.ts';
import { formatAuthority } from '../../protocol/addresses/authority.ts';
import type { HeadLimits } from '../../protocol/http1/head-buffer.ts';
import { printFields } from '../../protocol/http1/header-list.ts';
import type { ResponseHeadText } from '../../protocol/http1/response-head.ts';
import { formatHop } from '../../protocol/routes/proxy-url.ts';
import type { ProxyAuthContext, UpstreamAuth } from '../../upstream-auth/upstream-auth.ts';
import { askProxy } from '../http/ask-proxy.ts';
import { performAuthHandshake } from '../http/auth-handshake.ts';
import { requestProxy } from '../http/proxy-response.ts';
import { ResponseTimer } from '../response-timer.ts';
import { withEarly } from '../with-early.ts';

export interface HttpProxyOptions {
  readonly limits: HeadLimits;
  /** From the CONNECT to the head of its response, in milliseconds; the proxy connects to the target meanwhile. */
  readonly headMs: number;
  readonly auth: Pick<UpstreamAuth, 'contextFor'>;
}

/** CONNECT (RFC 9110 §9.3.6) through a proxy, in the clear or over TLS. */
export class HttpProxyDialer implements Dialer {
  readonly schemes = ['http', 'https'] as const;
  readonly #options: HttpProxyOptions;

  constructor(options: HttpProxyOptions) {
    this.#options = options;
  }

  async dial(hop: Hop, to: Authority, within: DialScope, dialProxy: DialHop): Promise<Connection> {
    const { auth, headMs } = this.#options;
    const authContext = await auth.contextFor(hop);
    using session = authContext.createSession(within, 'anonymous');
    // A request that waits for another's login keeps no connection open meanwhile.
    await session.begin();
    const { limits } = this.#options;
    const uri = formatAuthority(to);
    // Not behind a 407: what follows one may authenticate its connection.
    const dialFirst = () => dialProxy(shareOf(authContext, within));
    const { connection, response } = await performAuthHandshake(await dialFirst(), {
      session: session,
      dialProxy: () => dialProxy(),
      replaceUsed: dialFirst,
      writer: 'proxy',
      // Nothing has gone through a tunnel that was not opened.
      repeats: 'freely',
      askProxy: (connection, occasion) => {
        const about = { upstreamProxy: { hop, authContext, session }, target: to, fields: viaField(within.via) };
        return askProxy(connection, { ...about, within, limits, headMs, dialProxy: () => dialProxy() }, occasion);
      },
      send: async (connection) => {
        const credentials = await session.fieldsFor({ method: 'CONNECT', uri, body: 'none' }, connection.wire.stream);
        const head = connectHead(uri, within.via, credentials);
        const message = { hop, head, within, limits, responseMs: session.responseMs(headMs) };
        return { received: await requestProxy(connection, message), method: 'CONNECT' };
      },
      timer: () => new ResponseTimer(within, session.roundMs(headMs), 'upstream_timeout'),
    });
    const { head, rest } = response.received;
    const { status, headers } = head;
    const { id, observe, state } = within;
    observe({ type: 'upstreamResponse', id, proxy: formatHop(hop), status, headers, state });
    // A 2xx opens the tunnel right behind its head; its Content-Length and Transfer-Encoding are ignored (RFC 9110 §9.3.6).
    if (head.status >= 200 && head.status < 300) return withEarly(connection, rest);
    connection[Symbol.dispose]();
    throw refusedBy(hop, head);
  }
}

/** Requests of one user that log in at a proxy as one account, each for itself, may share a connection to it. */
const shareOf = ({ id, wantsAuthenticated }: ProxyAuthContext, { owner }: DialScope): string | undefined =>
  owner === undefined || wantsAuthenticated ? undefined : JSON.stringify([owner, id]);

/** `Host` is the target as well (RFC 9112 §3.2). */
const connectHead = (uri: string, via: string | undefined, credentials: Headers): string =>
  `CONNECT ${uri} HTTP/1.1\r\n${printFields([['Host', uri], ...viaField(via), ...credentials])}`;

/** It makes a loop through several proxies end (RFC 9110 §7.6.3). */
const viaField = (via: string | undefined): Headers => (via === undefined ? [] : [['Via', via]]);

/** The statuses of gateways that they could not connect: the failure is the target's, or its network's. */
const COULD_NOT_CONNECT: ReadonlySet<number> = new Set([502, 503, 504]);

/**
 * No response to a CONNECT makes another proxy be tried, 502 to 504 included, as in Chromium and Firefox: the proxy is up
 * and has decided or tried. Squid responds with 503 for a name that does not exist, and every other proxy would too, after as
 * long a wait; and what one proxy forbids must not be got from the next one.
 */
function refusedBy(hop: Hop, { status, reason }: ResponseHeadText): ProxyError {
  const detail = `${formatHop(hop)} responded with ${status} ${reason} to CONNECT`;
  if (status < 200) return new ProxyError('upstream_protocol', detail);
  return new ProxyError(codeOf(status), detail, { clientDetail: `It responded with ${status}.` });
}

function codeOf(status: number): FailureCode {
  // The request has come back to us: no proxy in the loop is at fault, and each of them should send the client 508.
  if (status === FAILURES.loop_detected.status) return 'loop_detected';
  return COULD_NOT_CONNECT.has(status) ? 'upstream_failed' : 'upstream_refused';
}
