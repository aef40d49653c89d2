import type { Dialer, DialScope, Reach } from '../core/contracts.ts';
import { FAILURES, type FailureCode, ProxyError } from '../core/failure.ts';
import type { Authority, Headers } from '../core/request.ts';
import type { Connection, Hop } from '../core/stages.ts';
import { formatAuthority } from '../protocol/authority.ts';
import type { HeadLimits } from '../protocol/head-buffer.ts';
import { printFields } from '../protocol/header-list.ts';
import { formatHop } from '../protocol/proxy-url.ts';
import type { ResponseHead } from '../protocol/response-head.ts';
import type { UpstreamAuth } from './auth/upstream-auth.ts';
import { shakeHands } from './handshake.ts';
import { Patience } from './patience.ts';
import { PARENT_FAULTS, type ReadHead, readHead } from './read-head.ts';
import { withEarly } from './with-early.ts';

/** Interim answers to a CONNECT: nothing asks for any, and a proxy that sends more keeps the client waiting. */
const INTERIM_MAX = 8;

export interface HttpProxyOptions {
  readonly limits: HeadLimits;
  /** From the CONNECT to the head of its answer, in milliseconds; the proxy connects to the target meanwhile. */
  readonly headMs: number;
  readonly auth: Pick<UpstreamAuth, 'visit'>;
}

/** CONNECT (RFC 9110 §9.3.6) through a proxy that is spoken to in the clear or over TLS. */
export class HttpProxyDialer implements Dialer {
  readonly schemes = ['http', 'https'] as const;
  readonly #options: HttpProxyOptions;

  constructor(options: HttpProxyOptions) {
    this.#options = options;
  }

  async dial(hop: Hop, to: Authority, within: DialScope, reach: Reach): Promise<Connection> {
    const { auth, headMs } = this.#options;
    const visit = await auth.visit(hop);
    using introduction = visit.introduce(within, 'free');
    // Whoever waits for another's logon keeps no connection open meanwhile.
    await introduction.begin();
    const { connection, said } = await shakeHands(await reach(), {
      introduction,
      reach,
      say: async (connection) => {
        const message = { method: 'CONNECT', uri: formatAuthority(to), body: 'none' } as const;
        const credentials = await introduction.fields(message, connection.wire.stream);
        return { answer: await this.#ask(connection, hop, to, within, credentials), method: 'CONNECT' };
      },
      patience: () => new Patience(within.signal, headMs, 'parent_silent'),
    });
    const { head, rest } = said.answer;
    // A 2xx opens the tunnel right behind its head, whatever its Content-Length or Transfer-Encoding says.
    if (head.status >= 200 && head.status < 300) return withEarly(connection, rest);
    connection[Symbol.dispose]();
    throw refusedBy(hop, head);
  }

  /** Writes the request and reads its final answer. */
  async #ask(
    { wire, early }: Connection,
    hop: Hop,
    to: Authority,
    within: DialScope,
    credentials: Headers,
  ): Promise<ReadHead> {
    const { id, tap, signal } = within;
    const { limits, headMs } = this.#options;
    const head = connectHead(to, within.via, credentials);
    tap?.({ type: 'wire', id, hop: 'upstream', sent: 'by-us', head });
    using patience = new Patience(signal, headMs, 'parent_silent');
    patience.begin();
    wire.stream.write(`${head}\r\n`, 'latin1');
    let rest = early;
    for (let seen = 0; seen <= INTERIM_MAX; seen++) {
      const answer = await readHead(wire, rest, limits, PARENT_FAULTS, patience);
      tap?.({ type: 'wire', id, hop: 'upstream', sent: 'by-peer', head: answer.text });
      // A switch of protocols was not offered: what would follow a 101 is nothing that we know.
      if (answer.head.status >= 200 || answer.head.status === 101) return answer;
      ({ rest } = answer);
    }
    throw new ProxyError('parent_protocol', `${formatHop(hop)}: more than ${INTERIM_MAX} interim answers`);
  }
}

/** `Host` is the target as well (RFC 9112 §3.2); `via` makes a loop through several proxies end (RFC 9110 §7.6.3). */
function connectHead(to: Authority, via: string | undefined, credentials: Headers): string {
  const authority = formatAuthority(to);
  const passed: Headers = via === undefined ? [] : [['Via', via]];
  return `CONNECT ${authority} HTTP/1.1\r\n${printFields([['Host', authority], ...passed, ...credentials])}`;
}

/** What gateways answer when they could not get through: the refusal is the target's, or its network's. */
const COULD_NOT_CONNECT: ReadonlySet<number> = new Set([502, 503, 504]);

/**
 * No answer to a CONNECT makes another proxy be tried, 502 to 504 included, as in Chromium and Firefox: the proxy is
 * alive and has judged or tried. Squid says 503 for a name that does not exist, and every next proxy would say so too,
 * after as long a wait; and what one proxy forbids, the next in line should not be asked for behind its back.
 */
function refusedBy(hop: Hop, { status, reason }: ResponseHead): ProxyError {
  const detail = `${formatHop(hop)} answered ${status} ${reason} to CONNECT`;
  if (status < 200) return new ProxyError('parent_protocol', detail);
  return new ProxyError(codeOf(status), detail, { told: `It answered ${status}.` });
}

function codeOf(status: number): FailureCode {
  // It was us who came by again: no proxy in the round is at fault, and the client should hear 508 from each of them.
  if (status === FAILURES.loop.status) return 'loop';
  return COULD_NOT_CONNECT.has(status) ? 'parent_failed' : 'parent_refused';
}
