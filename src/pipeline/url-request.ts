import { ProxyError } from '../contracts/failure.ts';
import type { ProxyRequest } from '../contracts/request.ts';
import { parseAuthorityWithDefault } from '../protocol/addresses/authority.ts';
import { withScheme } from '../protocol/addresses/typed-url.ts';
import type { Clock } from '../util/clock.ts';
import { quoted } from '../util/redact.ts';

/** A lookup that takes longer would have failed the request as well. */
const LOOKUP_MS = 30_000;

/** A text that no request can be made of; the message repeats no secret of it. */
export class UrlError extends Error {
  override readonly name = 'UrlError';
}

/** Who would send the request. */
export interface AskingClient {
  readonly address: string;
  /** URL of the listener that it would use. */
  readonly listener: string;
  /** Whether that is on a bridge of containers. */
  readonly isOnBridge?: true | undefined;
  /** SOCKS asks for tunnels alone. */
  readonly speaks: 'http/1.1' | 'socks5';
}

/** The request that a client would send for this URL. Throws UrlError. */
export function urlRequest(text: string, from: AskingClient, clock: Clock): ProxyRequest {
  const { address, listener, isOnBridge, speaks } = from;
  const common = {
    id: 'why',
    protocol: speaks,
    credentials: undefined,
    requestTarget: text,
    headers: [],
    client: { address, port: 0, listener, ...(isOnBridge && { isOnBridge }) },
    signal: AbortSignal.timeout(LOOKUP_MS),
    startedMs: clock.now(),
  } as const;
  const other = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (other !== undefined && !/^(?:http|ws)s?$/.test(other))
    throw new UrlError(`${quoted(text)}: only http:// and https:// URLs, and host:port, can be asked about`);
  try {
    const url = withScheme(text, 'https');
    const [, scheme = '', authority = '', path = ''] = /^((?:http|ws)s?):\/\/([^/?#]*)([^#]*)/i.exec(url) ?? [];
    if (/^(?:https|wss)$/i.test(scheme)) {
      return { ...common, kind: 'tunnel', method: 'CONNECT', target: parseAuthorityWithDefault(authority, 443) };
    }
    const target = parseAuthorityWithDefault(authority, 80);
    if (speaks === 'socks5') return { ...common, kind: 'tunnel', method: 'CONNECT', target };
    return { ...common, kind: 'forward', method: 'GET', target, url, path, body: undefined };
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    throw new UrlError(`${quoted(text)} is neither a URL nor host:port: ${error.detail}`);
  }
}
