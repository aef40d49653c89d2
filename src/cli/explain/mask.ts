import { publicUrl } from '../../observe/escape.ts';

/** Stands where a secret was, so that a transcript can be pasted into an issue as it is. */
export const MASK = '•••';

const CREDENTIALS: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization']);
const COOKIES: ReadonlySet<string> = new Set(['cookie', 'set-cookie']);
const URLS: ReadonlySet<string> = new Set(['location', 'content-location', 'referer', 'refresh', 'link']);

/** The lines of a head, its secrets masked: credentials, cookies, userinfo, values in a query. */
export function maskedLines(head: string): string[] {
  const [start = '', ...fields] = linesOf(head);
  return [maskUrls(start), ...fields.map(maskField)];
}

/** Lines as a response may end them, folded ones put together: a secret must not stand in a line without its name. */
export const linesOf = (head: string): string[] =>
  head
    .replaceAll(/(?:\r?\n[\t ]+)+/g, ' ')
    .split(/\r?\n/)
    .filter((line) => line !== '');

function maskField(line: string): string {
  const colon = line.indexOf(':');
  const name = line.slice(0, colon).trim().toLowerCase();
  const value = line.slice(colon + 1).trim();
  if (colon < 0) return line;
  const masked = maskValue(name, value);
  return masked === value ? line : `${line.slice(0, colon)}: ${masked}`;
}

function maskValue(name: string, value: string): string {
  if (CREDENTIALS.has(name)) {
    // The scheme shows the kind of the secret; a lone token may be the secret itself.
    const scheme = /^([!#$%&'*+\-.^_`|~0-9a-z]+) +\S/i.exec(value)?.[1];
    return scheme === undefined ? MASK : `${scheme} ${MASK}`;
  }
  if (COOKIES.has(name)) return maskCookies(name, value);
  // A second leg of NTLM, Negotiate or Digest carries a token of this handshake.
  if (/^(?:proxy-|www-)?authenticat(?:e|ion-info)$|-authentication-info$/.test(name)) {
    return value
      .replace(/\b(NTLM|Negotiate) +[\w\-.~+/]+=*/gi, `$1 ${MASK}`)
      .replace(/\b(rspauth|nextnonce)=("[^"]*"|[^\s,]+)/gi, `$1=${MASK}`);
  }
  return URLS.has(name) ? maskUrls(value) : value;
}

/** Of `Set-Cookie` only the first pair is a secret, the rest are its terms; of `Cookie` every pair is one. */
function maskCookies(name: string, value: string): string {
  const [first = '', ...rest] = value.split(';');
  const masked = (pair: string) => (pair.includes('=') ? pair.replace(/=.*$/s, `=${MASK}`) : ` ${MASK}`);
  return [masked(first), ...rest.map((pair) => (name === 'cookie' ? masked(pair) : pair))].join(';').trim();
}

/** Userinfo, and the values of a query. Names stay: they say what was asked for. */
export function maskUrls(text: string): string {
  return text
    .replace(/(\/\/)[^\s/?#]*@/g, `$1${MASK}@`)
    .replace(/\?[^\s#>"]*/g, (query) =>
      query.replace(/([?&;])([^=&;]*)(=?)[^&;]*/g, (_all, mark: string, name: string, equals: string) =>
        name === '' && equals === '' ? mark : equals === '' ? `${mark}${MASK}` : `${mark}${name}=${MASK}`,
      ),
    )
    .replace(/#[^\s>"]+/g, `#${MASK}`);
}

/** The URL as it may be shown. */
export const shownUrl = (url: URL): string => maskUrls(`${publicUrl(url.href)}${url.search}`);
