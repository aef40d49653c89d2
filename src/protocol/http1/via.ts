import type { Headers, RequestProtocol } from '../../contracts/request.ts';
import { valuesOf } from './header-list.ts';
import { trimOws } from './ows.ts';

/** `received-protocol` of `Via` (RFC 9110 §7.6.3): without the name where that is HTTP. */
export const receivedProtocol = (protocol: RequestProtocol): string => RECEIVED.get(protocol) ?? protocol;
const RECEIVED: ReadonlyMap<string, string> = new Map([
  ['http/1.0', '1.0'],
  ['http/1.1', '1.1'],
  ['h2', '2.0'],
  ['socks4', 'SOCKS/4'],
  ['socks5', 'SOCKS/5'],
]);

/** This proxy's member of `Via`: the protocol in which the message was received, and the pseudonym (RFC 9110 §7.6.3). */
export const viaMember = (received: string, pseudonym: string): string => `${received} ${pseudonym}`;

/** The list to forward: the proxies that the message has passed, and this one. */
export function viaList(headers: Headers, received: string, pseudonym: string): string {
  const before = valuesOf(headers, 'via');
  const own = viaMember(received, pseudonym);
  return before.length === 0 ? own : [...before, own].join(', ');
}

/**
 * Whether a `Via` list shows that the message has passed this proxy before. Pseudonyms have a random suffix for each
 * proxy, so that one Viaduct behind another is not taken for a loop. Compared as a whole: `viaduct-ab` is not
 * `viaduct-abc`.
 */
export function viaIncludes(headers: Headers, pseudonym: string): boolean {
  for (const value of valuesOf(headers, 'via')) {
    for (const member of value.split(',')) {
      if (trimOws(member).split(/[ \t]+/)[1] === pseudonym) return true;
    }
  }
  return false;
}
