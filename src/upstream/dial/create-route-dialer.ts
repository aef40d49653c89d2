import type { Dialer } from '../../contracts/dialing.ts';
import { RESPONSE_HEAD_LIMITS } from '../../protocol/http1/head-buffer.ts';
import type { UpstreamAuth } from '../../upstream-auth/upstream-auth.ts';
import type { UpstreamSessions } from '../http2/session-pool.ts';
import { tlsToProxies } from '../tls/tls-to-proxies.ts';
import type { TlsSettings } from '../tls/trust.ts';
import { DirectDialer, type DirectOptions } from './direct.ts';
import { HttpProxyDialer } from './http-proxy.ts';
import { RouteDialer } from './route-dialer.ts';
import { Socks4Dialer } from './socks4.ts';
import { Socks5Dialer } from './socks5.ts';

export interface RouteDialerOptions extends DirectOptions {
  /** How long a proxy may take to respond, in milliseconds. */
  readonly headMs: number;
  readonly tls: TlsSettings;
  /** Authentication to proxies that speak HTTP. */
  readonly auth: UpstreamAuth;
  /** Connections that carry several tunnels; absent: none does. */
  readonly sessions?: UpstreamSessions | undefined;
}

/** Every kind of route. Another kind of proxy is one more line. */
export function createRouteDialer(options: RouteDialerOptions): RouteDialer {
  const { headMs, connectMs, tls, auth } = options;
  const direct = new DirectDialer(options);
  const dialers: readonly Dialer[] = [
    new HttpProxyDialer({ limits: RESPONSE_HEAD_LIMITS, headMs, auth }),
    new Socks5Dialer({ headMs }),
    new Socks4Dialer({ headMs, addressesOf: (to, within) => direct.addressesOf(to, within) }),
  ];
  const secure = tlsToProxies({ settingsOf: tls, connectMs, clock: options.clock });
  return new RouteDialer(direct, dialers, secure, options.sessions);
}
