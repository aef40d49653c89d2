import type { Duplex } from 'node:stream';
import type { Authority } from '../contracts/request.ts';
import { formatAuthority, parseAuthority } from '../protocol/addresses/authority.ts';
import type { RouteChoice } from '../routing/hook.ts';
import { createProxyTunnel, type ViaOptions } from './proxy-tunnel.ts';

/** A proxy: `http://`, `https://`, `socks4://`, `socks4a://` or `socks5://`, `[user:password@]host:port`. */
export type ProxyUrl = string | URL;

export interface ConnectViaOptions extends ViaOptions {
  /** Whether the socket stays writable once the target has ended, as for `net.connect`. Default: it ends too. */
  readonly allowHalfOpen?: boolean;
}

/**
 * Opens a tunnel and returns the socket, ready to be read and written. `route` is a proxy's URL, a list of them that
 * form a chain, one behind the other (no alternatives), or `direct`. `target` is `host:port`. The name is
 * resolved by the last proxy (by this machine for `socks4:`). Bytes that the target sent first are not lost.
 * Rejects with a ProxyError. Of a proxy: `connect_failed` when it is not there, `certificate_rejected` or `tls_failed`
 * when TLS with it fails, `upstream_auth_failed` when it requires other credentials, `upstream_refused` when its policy
 * forbids the target and `upstream_failed` when it could not connect (their `clientDetail` holds its response),
 * `upstream_closed` or `upstream_protocol` for no response or none that can be read. `no_route`: `route` names no route.
 */
export async function connectVia(
  route: RouteChoice,
  target: string | Authority,
  options: ConnectViaOptions = {},
): Promise<Duplex> {
  const tunnel = createProxyTunnel(route, options);
  // Parsed again, so that a target which a program got from others cannot end a line in the request.
  const to = parseAuthority(typeof target === 'string' ? target : formatAuthority(target));
  using limit = tunnel.connectDeadline();
  return await tunnel.open(to, limit.signal, options.allowHalfOpen === true ? 'half-open' : 'end-too');
}
