import type { Duplex } from 'node:stream';
import type { Authority } from '../core/request.ts';
import { formatAuthority, parseAuthority } from '../protocol/authority.ts';
import type { RouteChoice } from '../routing/hook.ts';
import { type ViaOptions, wayOf } from './way.ts';

/** A proxy: `http://`, `https://`, `socks4://`, `socks4a://` or `socks5://`, `[user:password@]host:port`. */
export type ProxyUrl = string | URL;

/**
 * Opens a tunnel and returns the socket, ready to be read and written. `route` is a proxy's URL, a list of them that
 * are gone through one behind the other (a chain, no alternatives), or `direct`. `target` is `host:port`. The name is
 * resolved by the last proxy (by this machine for `socks4:`). Bytes that the target sent first are not lost.
 * Rejects with a ProxyError. Of a proxy: `connect_failed` when it is not there, `certificate_rejected` or `tls_failed`
 * when TLS with it fails, `proxy_auth_failed` when it wants other credentials, `parent_refused` when it does not want
 * to connect and `parent_failed` when it could not (their `told` says what it answered), `parent_closed` or
 * `parent_protocol` for no answer or none that can be read. `no_route`: `route` names no way.
 */
export async function connectVia(
  route: RouteChoice,
  target: string | Authority,
  options: ViaOptions = {},
): Promise<Duplex> {
  const way = wayOf(route, options);
  // Read again, so that nothing that a program was given by others can end a line in the request.
  const to = parseAuthority(typeof target === 'string' ? target : formatAuthority(target));
  using limit = way.patience();
  return await way.open(to, limit.signal);
}
