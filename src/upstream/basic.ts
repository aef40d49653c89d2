import type { Headers } from '../core/request.ts';
import type { Hop } from '../core/stages.ts';

/** The login from the URL of a proxy, as Basic credentials (RFC 7617 §2). No field when the URL has none. */
export function proxyAuthorization({ login }: Hop): Headers {
  if (login === undefined) return [];
  const pair = Buffer.from(`${login.user}:${login.password.reveal()}`);
  return [['Proxy-Authorization', `Basic ${pair.toString('base64')}`]];
}
