import { promisify } from 'node:util';
import { gunzip as gunzipNow, type ZlibOptions } from 'node:zlib';
import type { NamedBy } from '../../contracts/stages.ts';
import { urlAuthority } from '../../protocol/addresses/authority.ts';
import { firstOf } from '../../protocol/http1/header-list.ts';
import { trimOws } from '../../protocol/http1/ows.ts';
import { errorCode } from '../../util/error-code.ts';
import { charsetOf, decodeScript } from './charset.ts';
import { type GetScope, type HttpResponse, httpGet, TooLargeError } from './http-get.ts';

/** The largest scripts in use have 300 KB; one without end would fill the memory. Counted after decoding. */
export const SCRIPT_BYTES_MAX: number = 1024 * 1024;
/** The same bound before gzip is decoded: it makes incompressible bytes a little longer. */
const CODED_BYTES_MAX = SCRIPT_BYTES_MAX + 65_536;
/** `http:` to `https:`, a short name to the long one, a login in between: more than this is a loop. */
const REDIRECTS_MAX = 5;

/** How long a script is fresh when the server does not say. Other proxies use a quarter of an hour too. */
const FRESH_MS = 15 * 60_000;
/** With `max-age=0` the proxy would fetch all the time; with a month it would miss the next change of proxies. */
const FRESH_MS_MIN = 60_000;
const FRESH_MS_MAX = 60 * 60_000;

/** The validators of a script, for conditional requests (RFC 9110 §13.1). */
export interface Validators {
  /** The URL after all redirects; the validators apply to that resource alone. */
  readonly url: string;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}

export interface FetchScope extends GetScope {
  /** Addresses of the host in a URL. */
  readonly resolve: (host: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** Whether this proxy itself listens there. */
  readonly isSelf: (address: string, port: number) => boolean;
}

export type FetchResult =
  | {
      readonly kind: 'unchanged';
      readonly namedBy: Exclude<NamedBy, 'user'>;
      readonly freshMs: number;
    }
  | {
      readonly kind: 'script';
      readonly text: string;
      readonly validators: Validators;
      /** `untrusted-pac` when any request of the chain of redirects went over plain http:. */
      readonly namedBy: Exclude<NamedBy, 'user'>;
      readonly freshMs: number;
    };

/** Validators that were read from the disk may hold any text. */
const isFieldValue = (value: string | undefined): value is string =>
  value !== undefined && /^[\t\x20-\x7e\x80-\xff]+$/.test(value);

/**
 * Fetches a script from its server, directly: neither through this proxy nor through one that the environment names. The
 * certificate of every `https:` server in the chain of redirects is verified. Rejects with an Error whose message is
 * shown to the user, or with the signal's reason.
 */
export async function fetchScript(
  from: string,
  known: Validators | undefined,
  scope: FetchScope,
): Promise<FetchResult> {
  let url = new URL(from);
  let namedBy: 'pac' | 'untrusted-pac' = 'pac';
  for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
    if (url.protocol !== 'https:') namedBy = 'untrusted-pac';
    const conditional = known?.url === url.href ? known : undefined;
    using response = await requestScript(url, conditional, scope);
    const { status, headers } = response.head;
    const freshMs = freshFor(firstOf(headers, 'cache-control'));
    if (status === 200) {
      const bytes = await scriptOf(response);
      const text = decodeScript(bytes, charsetOf(firstOf(headers, 'content-type') ?? ''));
      const [etag, lastModified] = [firstOf(headers, 'etag'), firstOf(headers, 'last-modified')];
      return { kind: 'script', text, validators: { url: url.href, etag, lastModified }, namedBy, freshMs };
    }
    if (status === 304 && conditional !== undefined) return { kind: 'unchanged', namedBy, freshMs };
    if (![301, 302, 303, 307, 308].includes(status)) throw new Error(`the server responds with status ${status}`);
    url = redirected(firstOf(headers, 'location'), url);
  }
  throw new Error(`the server redirects more than ${REDIRECTS_MAX} times`);
}

function redirected(location: string | undefined, from: URL): URL {
  const to = location !== undefined && URL.canParse(location, from.href) ? new URL(location, from.href) : undefined;
  if (to?.protocol === 'http:' || to?.protocol === 'https:') return to;
  throw new Error('the server redirects to a URL that is neither http: nor https:');
}

async function requestScript(url: URL, known: Validators | undefined, scope: FetchScope): Promise<HttpResponse> {
  const { signal } = scope;
  const { host, port } = urlAuthority(url);
  const addresses = await scope.resolve(host, signal);
  if (addresses.some((address) => scope.isSelf(address, port)))
    throw new Error(`${url.host} is this proxy itself, which cannot serve its own PAC`);
  const fields: [name: string, value: string][] = [
    ['Accept', '*/*'],
    ['Accept-Encoding', 'gzip'],
    ['User-Agent', 'viaduct'],
  ];
  if (isFieldValue(known?.etag)) fields.push(['If-None-Match', known.etag]);
  if (isFieldValue(known?.lastModified)) fields.push(['If-Modified-Since', known.lastModified]);
  return await httpGet(url, fields, addresses, scope);
}

async function scriptOf(response: HttpResponse): Promise<Buffer> {
  const coding = trimOws(firstOf(response.head.headers, 'content-encoding') ?? 'identity').toLowerCase();
  if (!['identity', 'gzip', 'x-gzip', ''].includes(coding)) {
    throw new Error(`the script has the content coding ${quoted(coding)}, which is not supported`);
  }
  try {
    if (!coding.endsWith('gzip')) return await response.body(SCRIPT_BYTES_MAX);
    return await gunzip(await response.body(CODED_BYTES_MAX), { maxOutputLength: SCRIPT_BYTES_MAX });
  } catch (error) {
    const isTooLarge = error instanceof TooLargeError || errorCode(error) === 'ERR_BUFFER_TOO_LARGE';
    if (isTooLarge) throw new Error(`the script is larger than ${SCRIPT_BYTES_MAX} bytes`, { cause: error });
    if (errorCode(error) === 'response_incomplete')
      throw new Error('the connection ended in the middle of the script', { cause: error });
    throw error;
  }
}

const gunzip = (bytes: Buffer, options: ZlibOptions): Promise<Buffer> =>
  promisify<Buffer, ZlibOptions, Buffer>(gunzipNow)(bytes, options);
const quoted = (text: string): string => JSON.stringify(text.slice(0, 40));

function freshFor(cacheControl: string | undefined): number {
  const maxAge = /(?:^|[ \t,])max-age[ \t]*=[ \t]*"?(\d{1,12})/i.exec(cacheControl ?? '')?.[1];
  if (maxAge === undefined) return FRESH_MS;
  return Math.min(FRESH_MS_MAX, Math.max(FRESH_MS_MIN, Number(maxAge) * 1000));
}
