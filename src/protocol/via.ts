import type { Headers } from '../core/request.ts';
import { valuesOf } from './header-list.ts';

/** Our member of a `Via` list: the version that we received the message in, and who we are (RFC 9110 §7.6.3). */
export const viaMember = (version: '1.0' | '1.1', pseudonym: string): string => `${version} ${pseudonym}`;

/** The whole list as it goes on: who the message has passed, and us. */
export function viaList(headers: Headers, version: '1.0' | '1.1', pseudonym: string): string {
  const before = valuesOf(headers, 'via');
  const own = viaMember(version, pseudonym);
  return before.length === 0 ? own : [...before, own].join(', ');
}

/**
 * Whether a `Via` list shows that the message has been here. Pseudonyms carry a random suffix for each proxy, so that
 * one Viaduct behind another is no loop. Compared as a whole word: `viaduct-ab` is not `viaduct-abc`.
 */
export function hasBeenHere(headers: Headers, pseudonym: string): boolean {
  for (const value of valuesOf(headers, 'via')) {
    for (const member of value.split(',')) {
      if (member.trim().split(/[ \t]+/)[1] === pseudonym) return true;
    }
  }
  return false;
}
