import { deadline, type WaitScope } from '../../contracts/deadline.ts';
import type { DialScope } from '../../contracts/dialing.ts';
import { asProxyError, isWithoutResponse, ProxyError } from '../../contracts/failure.ts';
import type { AddressGuard } from '../../contracts/policy.ts';
import { PROXY_ITSELF } from '../../contracts/resolver.ts';
import type { Connection, Hop, HopScheme, Hops } from '../../contracts/stages.ts';
import type { Wire } from '../../contracts/wire.ts';
import { formatAuthority } from '../../protocol/addresses/authority.ts';
import { RESPONSE_HEAD_LIMITS } from '../../protocol/http1/head-buffer.ts';
import { formatHop } from '../../protocol/routes/proxy-url.ts';
import type { Clock } from '../../util/clock.ts';
import type { StopSignal } from '../../util/stop.ts';
import type { RouteDialer } from '../dial/route-dialer.ts';
import { PROXY_FAULTS, readHead } from '../http/read-head.ts';
import { ResponseTimer } from '../response-timer.ts';

/** Probes the last proxy of `hops`, through those before it. Rejects with a ProxyError when it gives no valid response. */
export type Probe = (hops: Hops, signal: AbortSignal) => Promise<void>;

/** Interim responses to a probe; nothing asks for any. */
const INTERIM_MAX = 8;

interface ProbeRequest {
  readonly message: (hop: Hop) => string;
  /** Resolves when a response is complete, also a refusal: what sends one is a proxy, and alive. */
  readonly readResponse: (connection: Connection, name: string, within: WaitScope) => Promise<void>;
}

/** Some proxies ignore `OPTIONS *`. The rest of a probe's time is for the next request. */
const FIRST_MS = 2_000;

/** No proxy is asked to connect anywhere: a probe must cause no traffic behind it. */
const HTTP: ProbeRequest = {
  // `OPTIONS *` with Max-Forwards 0 has a response of the proxy itself (RFC 9110 §7.6.2, §9.3.7).
  message: ({ proxy }) =>
    `OPTIONS * HTTP/1.1\r\nHost: ${formatAuthority(proxy)}\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n`,
  readResponse: readProbeHead,
};
/** No name server has this name (RFC 6761 §6.4): a proxy answers that it cannot connect, or that it wants a login. */
const HTTP_CONNECT: ProbeRequest = {
  message: () => 'CONNECT viaduct.invalid:443 HTTP/1.1\r\nHost: viaduct.invalid:443\r\n\r\n',
  readResponse: readProbeHead,
};
const SOCKS5: ProbeRequest = {
  // The greeting (RFC 1928 §3), which is also answered when no method suits.
  message: ({ login }) => (login === undefined ? '\x05\x01\x00' : '\x05\x02\x00\x02'),
  readResponse: (connection, name, { signal }) =>
    readProbeBytes(connection.wire, { first: 0x05, length: 2 }, name, signal),
};
const SOCKS4: ProbeRequest = {
  // The protocol has no greeting: a request for port 0 of no address is refused, and a proxy that hangs sends nothing.
  message: () => '\x04\x01\0\0\0\0\0\0\0',
  readResponse: (connection, name, { signal }) =>
    readProbeBytes(connection.wire, { first: 0x00, length: 8 }, name, signal),
};
const REQUESTS: Readonly<Record<HopScheme, readonly [ProbeRequest, ProbeRequest?]>> = {
  http: [HTTP, HTTP_CONNECT],
  https: [HTTP, HTTP_CONNECT],
  socks4: [SOCKS4],
  socks4a: [SOCKS4],
  socks5: [SOCKS5],
};

/** In place of the id of a request. */
export const PROBE_ID = 'probe';

/** Probes over the routes that requests take, TLS included: a proxy with a bad certificate is of no use, though it answers. */
export function createProbe(dialer: RouteDialer, guard: AddressGuard, clock: Clock): Probe {
  return async (hops, signal) => {
    const last = hops.at(-1) ?? hops[0];
    const within: DialScope = {
      id: PROBE_ID,
      client: PROXY_ITSELF,
      signal,
      clock,
      guard,
      observe: () => undefined,
      tap: undefined,
    };
    const send = async ({ message, readResponse }: ProbeRequest, until: StopSignal) => {
      using connection = await dialer.dialProxy(hops, { ...within, signal: until });
      connection.wire.stream.write(message(last), 'latin1');
      await readResponse(connection, formatHop(last), { signal: until, clock });
    };
    const [first, second] = REQUESTS[last.scheme];
    if (second === undefined) return await send(first, signal);
    try {
      using limit = deadline(within, FIRST_MS, 'upstream_timeout', 'a probe');
      return await send(first, limit.signal);
    } catch (error) {
      if (signal.aborted || !isWithoutResponse(asProxyError(error).code)) throw error;
    }
    await send(second, signal);
  };
}

/** Half a head is none: a proxy that stops there is as dead as one that sends nothing. */
async function readProbeHead({ wire, early }: Connection, name: string, within: WaitScope): Promise<void> {
  // The limit is in the signal.
  using timer = new ResponseTimer(within, Number.POSITIVE_INFINITY, 'upstream_timeout');
  let rest = early;
  for (let seen = 0; seen <= INTERIM_MAX; seen++) {
    const response = await readHead(wire, rest, RESPONSE_HEAD_LIMITS, PROXY_FAULTS, timer);
    if (response.head.status >= 200) return;
    ({ rest } = response);
  }
  throw new ProxyError('upstream_protocol', `${name}: more than ${INTERIM_MAX} interim responses to a probe`);
}

/** Resolves when so many bytes have come, beginning with that one. */
function readProbeBytes(
  wire: Wire,
  response: { readonly first: number; readonly length: number },
  name: string,
  signal: StopSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = 0;
    const finish = (settle: () => void) => {
      wire.deliverTo(undefined);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onAbort = () => finish(() => reject(signal.reason));
    const closed = (cause?: Error) =>
      finish(() => reject(new ProxyError('upstream_closed', `${name} closed the connection of a probe`, { cause })));
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener('abort', onAbort);
    wire.deliverTo({
      bytes(chunk) {
        if (received === 0 && chunk[0] !== response.first)
          return finish(() =>
            reject(new ProxyError('upstream_protocol', `${name} responded to a probe in another protocol`)),
          );
        received += chunk.length;
        if (received >= response.length) finish(resolve);
      },
      end: () => closed(),
      failed: (cause) => closed(cause),
    });
  });
}
