import type { AddressGuard, DialScope } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { Wire } from '../core/source.ts';
import type { Hop, HopScheme, Hops } from '../core/stages.ts';
import { formatAuthority } from '../protocol/authority.ts';
import { formatHop } from '../protocol/proxy-url.ts';
import type { Paths } from './paths.ts';

/** Asks the last proxy of `hops`, through those before it, for a sign of life. Rejects with a ProxyError without one. */
export type Probe = (hops: Hops, signal: AbortSignal) => Promise<void>;

interface Question {
  readonly ask: (hop: Hop) => string;
  /** How every answer begins, the refusing ones too: whoever says this is a proxy, and awake. */
  readonly answer: string;
}

/** Nobody is asked to go anywhere: a probe must leave no traffic behind the proxy. */
const HTTP: Question = {
  // `OPTIONS *` with Max-Forwards 0 is answered by the proxy itself (RFC 9110 §7.6.2, §9.3.7).
  ask: ({ proxy }) =>
    `OPTIONS * HTTP/1.1\r\nHost: ${formatAuthority(proxy)}\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n`,
  answer: 'HTTP/',
};
const SOCKS5: Question = {
  // The greeting (RFC 1928 §3), which is also answered when no method suits.
  ask: ({ login }) => (login === undefined ? '\x05\x01\x00' : '\x05\x02\x00\x02'),
  answer: '\x05',
};
const SOCKS4: Question = {
  // The protocol has no greeting: a request for port 0 of no address is refused, and a frozen proxy says nothing.
  ask: () => '\x04\x01\0\0\0\0\0\0\0',
  answer: '\0',
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
    const { ask, answer } = QUESTIONS[last.scheme];
    connection.wire.stream.write(ask(last), 'latin1');
    await hear(connection.wire, answer, formatHop(last), signal);
  };
}

/** Resolves when the peer has said `beginning`. */
function hear(wire: Wire, beginning: string, name: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let heard = '';
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
        heard += chunk.toString('latin1', 0, beginning.length - heard.length);
        if (heard === beginning) finish(resolve);
        else if (!beginning.startsWith(heard))
          finish(() => reject(new ProxyError('parent_protocol', `${name} answered a probe in another protocol`)));
      },
      end: () => closed(),
      failed: (cause) => closed(cause),
    });
  });
}
