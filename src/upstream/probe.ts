import type { AddressGuard, DialScope } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { Wire } from '../core/source.ts';
import type { Connection, Hop, HopScheme, Hops } from '../core/stages.ts';
import { formatAuthority } from '../protocol/authority.ts';
import { HEAD_LIMITS } from '../protocol/head-buffer.ts';
import { formatHop } from '../protocol/proxy-url.ts';
import type { Paths } from './paths.ts';
import { Patience } from './patience.ts';
import { PARENT_FAULTS, readHead } from './read-head.ts';

/** Asks the last proxy of `hops`, through those before it, for a sign of life. Rejects with a ProxyError without one. */
export type Probe = (hops: Hops, signal: AbortSignal) => Promise<void>;

/** Interim answers to a probe; nothing asks for any. */
const INTERIM_MAX = 8;

interface Question {
  readonly ask: (hop: Hop) => string;
  /** Resolves when an answer is whole, the refusing ones too: whoever gives one is a proxy, and awake. */
  readonly hear: (connection: Connection, name: string, signal: AbortSignal) => Promise<void>;
}

/** Nobody is asked to go anywhere: a probe must leave no traffic behind the proxy. */
const HTTP: Question = {
  // `OPTIONS *` with Max-Forwards 0 is answered by the proxy itself (RFC 9110 §7.6.2, §9.3.7).
  ask: ({ proxy }) =>
    `OPTIONS * HTTP/1.1\r\nHost: ${formatAuthority(proxy)}\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n`,
  hear: hearHead,
};
const SOCKS5: Question = {
  // The greeting (RFC 1928 §3), which is also answered when no method suits.
  ask: ({ login }) => (login === undefined ? '\x05\x01\x00' : '\x05\x02\x00\x02'),
  hear: (connection, name, signal) => hearBytes(connection.wire, { first: 0x05, length: 2 }, name, signal),
};
const SOCKS4: Question = {
  // The protocol has no greeting: a request for port 0 of no address is refused, and a frozen proxy says nothing.
  ask: () => '\x04\x01\0\0\0\0\0\0\0',
  hear: (connection, name, signal) => hearBytes(connection.wire, { first: 0x00, length: 8 }, name, signal),
};
const QUESTIONS: Readonly<Record<HopScheme, Question>> = {
  http: HTTP,
  https: HTTP,
  socks4: SOCKS4,
  socks4a: SOCKS4,
  socks5: SOCKS5,
};

/** Probes by the ways that requests take, TLS included: a proxy with a bad certificate is no better for answering. */
export function pathProbe(paths: Paths, guard: AddressGuard): Probe {
  return async (hops, signal) => {
    const last = hops.at(-1) ?? hops[0];
    const within: DialScope = { id: 'probe', signal, guard, observe: () => undefined, tap: undefined };
    using connection = await paths.reach(hops, within);
    const { ask, hear } = QUESTIONS[last.scheme];
    connection.wire.stream.write(ask(last), 'latin1');
    await hear(connection, formatHop(last), signal);
  };
}

/** Half a head is none: a proxy that stops there is as dead as one that says nothing. */
async function hearHead({ wire, early }: Connection, name: string, signal: AbortSignal): Promise<void> {
  // Whoever asks has set the limit in the signal.
  using patience = new Patience(signal, Number.POSITIVE_INFINITY, 'parent_silent');
  let rest = early;
  for (let seen = 0; seen <= INTERIM_MAX; seen++) {
    const answer = await readHead(wire, rest, HEAD_LIMITS, PARENT_FAULTS, patience);
    if (answer.head.status >= 200) return;
    ({ rest } = answer);
  }
  throw new ProxyError('parent_protocol', `${name}: more than ${INTERIM_MAX} interim answers to a probe`);
}

/** Resolves when so many bytes have come, beginning with that one. */
function hearBytes(
  wire: Wire,
  answer: { readonly first: number; readonly length: number },
  name: string,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let heard = 0;
    const finish = (settle: () => void) => {
      wire.deliverTo(undefined);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onAbort = () => finish(() => reject(signal.reason));
    const closed = (cause?: Error) =>
      finish(() => reject(new ProxyError('parent_closed', `${name} closed the connection of a probe`, { cause })));
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener('abort', onAbort);
    wire.deliverTo({
      bytes(chunk) {
        if (heard === 0 && chunk[0] !== answer.first)
          return finish(() =>
            reject(new ProxyError('parent_protocol', `${name} answered a probe in another protocol`)),
          );
        heard += chunk.length;
        if (heard >= answer.length) finish(resolve);
      },
      end: () => closed(),
      failed: (cause) => closed(cause),
    });
  });
}
