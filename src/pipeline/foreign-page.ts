import { ProxyError } from '../contracts/failure.ts';
import type { LocalResponse } from '../contracts/message.ts';
import type { Headers } from '../contracts/request.ts';
import { valuesOf } from '../protocol/http1/header-list.ts';

/**
 * Browsers say where a request comes from, as far as they trust the address that it goes to (Fetch Metadata). A page of
 * another site gets nothing, nor does one of another port of this machine; a link that the user follows does, since what
 * it opens is read by no page. Throws `denied`.
 */
export function refuseForeignPages(headers: Headers): void {
  const sites = valuesOf(headers, 'sec-fetch-site');
  const isOwn = sites.every((site) => site === 'same-origin' || site === 'none');
  if ((isOwn || isFollowedLink(headers)) && isSameOrigin(headers)) return;
  throw new ProxyError('denied', 'a page of another origin asks for an own page', {
    clientMessage: 'Pages of other web sites may not read what this proxy serves itself.',
  });
}

/** A frame is a document of its own, and a `Sec-Fetch-Dest` of its own too. */
const isFollowedLink = (headers: Headers): boolean =>
  isOnly(headers, 'sec-fetch-mode', 'navigate') && isOnly(headers, 'sec-fetch-dest', 'document');

function isOnly(headers: Headers, name: string, wanted: string): boolean {
  const values = valuesOf(headers, name);
  return values.length === 1 && values[0] === wanted;
}

/** Older browsers say only this, and not with every request (RFC 6454 §7.3). */
function isSameOrigin(headers: Headers): boolean {
  const [host = ''] = valuesOf(headers, 'host');
  return valuesOf(headers, 'origin').every((origin) => {
    const authority = /^https?:\/\/(.+)$/i.exec(origin)?.[1];
    return authority !== undefined && authority.toLowerCase() === host.toLowerCase();
  });
}

/**
 * With the fields that keep a page of another origin from using a response which it gets all the same: it is no script and
 * no style sheet (`nosniff`), and no part of that page. For browsers that send no `Sec-Fetch-Site`, as to an address of
 * the local network.
 */
export const withPageProtection = (response: LocalResponse): LocalResponse =>
  // Without a body there is nothing to use.
  response.body.length === 0 ? response : { ...response, headers: [...response.headers, ...PROTECTION_FIELDS] };

const PROTECTION_FIELDS: LocalResponse['headers'] = [
  ['X-Content-Type-Options', 'nosniff'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
];
