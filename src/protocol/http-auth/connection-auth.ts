import type { Headers } from '../../contracts/request.ts';
import { tokensOf, valuesOf } from '../http1/header-list.ts';
import { trimOws } from '../http1/ows.ts';
import { type Challenge, parseChallenges } from './challenge.ts';

/** Schemes that authenticate a connection and not a request: the next client on it would be that user (RFC 4559 §6). */
const OF_CONNECTIONS: ReadonlySet<string> = new Set(['ntlm', 'negotiate', 'kerberos', 'nego2']);
const isOfConnection = ({ scheme }: Challenge): boolean => OF_CONNECTIONS.has(scheme);

const CHALLENGES = 'www-authenticate';

/** Whether a response challenges for a login of its connection, or continues one. */
export const hasConnectionChallenge = (headers: Headers): boolean => hasScheme(valuesOf(headers, CHALLENGES));
/** Whether a request logs its connection on, or begins to. */
export const hasConnectionCredentials = (headers: Headers): boolean =>
  valuesOf(headers, 'authorization').some((value) => OF_CONNECTIONS.has(firstWord(value).toLowerCase()));

const firstWord = (text: string): string => /^[^\s,]*/.exec(text)?.[0] ?? '';

const hasScheme = (values: readonly string[]): boolean =>
  values.length > 0 && parseChallenges(values).some(isOfConnection);

/** Sent by a proxy that dedicates such a connection to one client. It is for one hop, which some proxies ignore. */
export const PROXY_SUPPORT: Headers = [
  ['Proxy-Support', 'Session-Based-Authentication'],
  ['Connection', 'Proxy-Support'],
];
export const supportsSessions = (headers: Headers): boolean =>
  tokensOf(headers, 'proxy-support').includes('session-based-authentication');

/** The fields without the challenges that need a dedicated connection, and the schemes of those that were removed. */
export function withoutConnectionChallenges(headers: Headers): {
  readonly kept: Headers;
  readonly removed: readonly string[];
} {
  const kept: (readonly [string, string])[] = [];
  const left: string[] = [];
  for (const field of headers) {
    if (field[0].toLowerCase() !== CHALLENGES || !hasScheme([field[1]])) {
      kept.push(field);
      continue;
    }
    const others = challengeTexts(field[1]).filter((text) => {
      const found = parseChallenges([text]).filter(isOfConnection);
      if (found.length > 0) left.push(firstWord(text));
      return found.length === 0;
    });
    if (others.length > 0) kept.push([field[0], others.join(', ')]);
  }
  return { kept, removed: left };
}

/** The challenges of one field value, unchanged: a list whose members are separated by commas outside of quotes. */
function challengeTexts(value: string): string[] {
  const texts: string[] = [];
  for (const [piece] of value.matchAll(/(?:"(?:[^"\\]|\\.?)*(?:"|$)|[^",])+/gs)) {
    const text = trimOws(piece);
    const before = texts.length - 1;
    // A parameter belongs to the challenge before it: `name = value`, where a scheme has a blank or the end behind it.
    const isParameter = /^[^\s="]+[\t ]*=(?!=*$)/.test(text);
    if (isParameter && before >= 0) texts[before] += `, ${text}`;
    else if (text !== '') texts.push(text);
  }
  return texts;
}
