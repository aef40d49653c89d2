import type { Dialer } from '../core/contracts.ts';
import { HEAD_LIMITS } from '../protocol/head-buffer.ts';
import type { UpstreamAuth } from './auth/upstream-auth.ts';
import { DirectDialer, type DirectOptions } from './direct.ts';
import { HttpProxyDialer } from './http-proxy.ts';
import { Paths } from './paths.ts';
import { Socks4Dialer } from './socks4.ts';
import { Socks5Dialer } from './socks5.ts';
import { tlsToProxies } from './tls.ts';
import type { TlsSettings } from './trust.ts';

export interface PathsOptions extends DirectOptions {
  /** How long a proxy may take to answer, in milliseconds. */
  readonly headMs: number;
  readonly tls: TlsSettings;
  /** Who we are at proxies that speak HTTP. */
  readonly auth: UpstreamAuth;
}

/** Every way to go. Another kind of proxy is one more line. */
export function allPaths(options: PathsOptions): Paths {
  const { headMs, connectMs, tls, auth } = options;
  const direct = new DirectDialer(options);
  const dialers: readonly Dialer[] = [
    new HttpProxyDialer({ limits: HEAD_LIMITS, headMs, auth }),
    new Socks5Dialer({ headMs }),
    new Socks4Dialer({ headMs, addressesOf: (to, within) => direct.addressesOf(to, within) }),
  ];
  return new Paths(direct, dialers, tlsToProxies({ settingsOf: tls, connectMs }));
}
