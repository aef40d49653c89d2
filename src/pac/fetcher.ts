import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIPv6, type LookupFunction } from 'node:net';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { NamedBy } from '../core/stages.ts';
import { charsetOf, decodeScript } from './charset.ts';

/** Largest scripts in the field have 300 KB; one that never ends would fill the memory. Counted decoded. */
export const SCRIPT_BYTES_MAX: number = 1024 * 1024;
/** `http:` to `https:`, a short name to the long one, a login in between: more than this is a circle. */
const REDIRECTS_MAX = 5;

/** How long a script is good when the server does not say. A quarter of an hour is what other proxies do. */
const FRESH_MS = 15 * 60_000;
/** `max-age=0` would ask all the time; a server that says a month would be believed beyond the next change of proxies. */
const FRESH_MS_MIN = 60_000;
const FRESH_MS_MAX = 60 * 60_000;

/** What a server gave with a script, to be asked whether it has another by now (RFC 9110 §13.1). */
export interface Validators {
  /** Where the script lay in the end, behind all redirects: elsewhere they mean nothing. */
  readonly url: string;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}

export interface FetchScope {
  readonly signal: AbortSignal;
  /** Addresses of a host that a URL names. */
  readonly resolve: (host: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** Whether this very proxy listens there. */
  readonly isSelf: (address: string, port: number) => boolean;
}

export type Fetched =
  | { readonly kind: 'unchanged'; readonly freshMs: number }
  | {
      readonly kind: 'script';
      readonly text: string;
      readonly validators: Validators;
      /** `untrusted-pac` when any step on the way could have been changed by others. */
      readonly namedBy: Exclude<NamedBy, 'user'>;
      readonly freshMs: number;
    };

/**
 * Fetches a script from its server, directly: neither through this proxy nor through one that the environment names.
 * Rejects with an Error for people, or with the signal's reason.
 */
export async function fetchScript(from: string, known: Validators | undefined, scope: FetchScope): Promise<Fetched> {
  let url = new URL(from);
  let namedBy: 'pac' | 'untrusted-pac' = 'pac';
  for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
    if (url.protocol !== 'https:') namedBy = 'untrusted-pac';
    const asking = known?.url === url.href ? known : undefined;
    const answer = await ask(url, asking, scope);
    const { statusCode: status = 0, headers } = answer;
    const freshMs = freshFor(headers['cache-control']);
    if (status === 200) {
      const bytes = await bodyOf(answer, scope.signal);
      const text = decodeScript(bytes, charsetOf(headers['content-type'] ?? ''));
      const validators = { url: url.href, etag: headers.etag, lastModified: headers['last-modified'] };
      return { kind: 'script', text, validators, namedBy, freshMs };
    }
    answer.destroy();
    if (status === 304 && asking !== undefined) return { kind: 'unchanged', freshMs };
    if (![301, 302, 303, 307, 308].includes(status)) throw new Error(`the server answers with status ${status}`);
    url = redirected(headers.location, url);
  }
  throw new Error(`the server redirects more than ${REDIRECTS_MAX} times`);
}

function redirected(location: string | undefined, from: URL): URL {
  const to = location !== undefined && URL.canParse(location, from.href) ? new URL(location, from.href) : undefined;
  if (to?.protocol === 'http:' || to?.protocol === 'https:') return to;
  throw new Error('the server redirects to what is no web address');
}

async function ask(url: URL, known: Validators | undefined, scope: FetchScope): Promise<IncomingMessage> {
  const { signal } = scope;
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  const addresses = await scope.resolve(host, signal);
  if (addresses.some((address) => scope.isSelf(address, port)))
    throw new Error(`${url.host} is this proxy itself, which needs the script to know its way`);
  const headers: Record<string, string> = { accept: '*/*', 'accept-encoding': 'gzip', 'user-agent': 'viaduct' };
  if (known?.etag !== undefined) headers['if-none-match'] = known.etag;
  if (known?.lastModified !== undefined) headers['if-modified-since'] = known.lastModified;
  const open = url.protocol === 'https:' ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    // An agent of its own: the global one may have been told to use the environment's proxies.
    const request = open(url, { agent: false, headers, signal, lookup: lookupAmong(addresses) });
    request.once('response', resolve);
    request.on('error', (error) => reject(signal.aborted ? signal.reason : error));
    request.end();
  });
}

/** Exactly the addresses that were looked at. */
const lookupAmong =
  (addresses: readonly string[]): LookupFunction =>
  (_host, { all }, callback) => {
    const found = addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }));
    const [first] = found;
    if (first === undefined) callback(new Error('no address'), '');
    else if (all === true) callback(null, found);
    else callback(null, first.address, first.family);
  };

async function bodyOf(answer: IncomingMessage, signal: AbortSignal): Promise<Buffer> {
  const coding = answer.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (!['identity', 'gzip', 'x-gzip', ''].includes(coding)) {
    answer.destroy();
    throw new Error(`the script is coded as ${quoted(coding)}`);
  }
  const chunks: Buffer[] = [];
  let length = 0;
  const decode = coding.endsWith('gzip')
    ? createGunzip()
    : new Transform({ transform: (chunk, _, go) => go(null, chunk) });
  try {
    await pipeline(
      answer,
      decode,
      async (decoded: AsyncIterable<Buffer>) => {
        for await (const chunk of decoded) {
          length += chunk.length;
          if (length > SCRIPT_BYTES_MAX) throw new Error(`the script is larger than ${SCRIPT_BYTES_MAX} bytes`);
          chunks.push(chunk);
        }
      },
      { signal },
    );
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    // Node's own word for it is "aborted", which sounds as if somebody here had ended it.
    const isCut = error instanceof Error && 'code' in error && error.code === 'ECONNRESET';
    throw isCut ? new Error('the connection ended in the middle of the script', { cause: error }) : error;
  }
  return Buffer.concat(chunks);
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 40));

function freshFor(cacheControl: string | undefined): number {
  const maxAge = /(?:^|[\s,])max-age\s*=\s*"?(\d{1,12})/i.exec(cacheControl ?? '')?.[1];
  if (maxAge === undefined) return FRESH_MS;
  return Math.min(FRESH_MS_MAX, Math.max(FRESH_MS_MIN, Number(maxAge) * 1000));
}
