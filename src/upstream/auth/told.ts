import type { Credential } from '../../core/contracts.ts';
import { ProxyError } from '../../core/failure.ts';
import type { Hop } from '../../core/stages.ts';
import type { Challenge } from '../../protocol/challenge.ts';
import { formatHop } from '../../protocol/proxy-url.ts';
import { accountName } from './basic.ts';
import { SCHEME_OF, SCHEME_WORD, type Way } from './ways.ts';

/** What became of a way that was not gone to its end: an obstacle, in one clause, or a secret that is not sent again. */
export type Closed = { readonly obstacle: string } | { readonly rejected: Credential };

/** Why a proxy does not let us in, for the page, the log and `why`: it names the proxy and what can be done. */
export function authFailure(
  hop: Hop,
  challenges: readonly Challenge[],
  closed: ReadonlyMap<Way, Closed>,
  account: Credential | undefined,
): ProxyError {
  const told = sentencesOf(hop, challenges, closed, account);
  return new ProxyError('proxy_auth_failed', told, { told });
}

function sentencesOf(
  hop: Hop,
  challenges: readonly Challenge[],
  closed: ReadonlyMap<Way, Closed>,
  account: Credential | undefined,
): string {
  const proxy = formatHop(hop);
  const rejected = [...closed.values()].find((one) => 'rejected' in one);
  if (rejected !== undefined) return rejectedSentence(hop, rejected.rejected);
  if (challenges.length === 0) return `${proxy} wants to know who we are, and does not say how it wants to be told.`;
  const wanted = `${proxy} wants to know who we are (by ${schemesIn(challenges)})`;
  const obstacles = [...closed].flatMap(([way, one]) =>
    'obstacle' in one ? [`${wordFor(way)}: ${one.obstacle}`] : [],
  );
  const tried = obstacles.length === 0 ? '' : ` ${obstacles.join('; ')}.`;
  if (account === undefined) return `${wanted}, and no account is known for it: use viaduct login, or -u USER.${tried}`;
  return `${wanted}, and ${accountName(account)} (${account.source}) cannot tell it that way.${tried}`;
}

/** For people who can mend it: whose password, where it came from, and what lifts the latch. */
export function rejectedSentence(hop: Hop, credential: Credential): string {
  return `${formatHop(hop)} has rejected the password of ${accountName(credential)} (${credential.source}). So that the account is not locked, it is not sent there again until it changes: ${mendingOf(credential)}.`;
}

function mendingOf({ source }: Credential): string {
  if (source.startsWith('keyring')) return 'use viaduct login';
  // These are read from there alone: what the keyring has does not count for them.
  if (source.startsWith('file:')) return 'write the new one into the file';
  if (source.startsWith('env:') || source === 'BASIC_CREDENTIALS') return 'start viaduct with the new one';
  if (source.startsWith('URL'))
    return 'write the new one into the URL of the proxy, or use viaduct login without it there';
  return 'use viaduct login, or start viaduct with the new one';
}

/** Names that are known; what else a proxy offers came from outside. */
function schemesIn(challenges: readonly Challenge[]): string {
  const known = Object.entries(SCHEME_WORD).filter(([name]) => challenges.some(({ scheme }) => scheme === name));
  return known.length === 0 ? 'nothing that is known here' : known.map(([, word]) => word).join(', ');
}

const wordFor = (way: Way): string =>
  way === 'kerberos' ? 'Kerberos' : way.startsWith('ntlm') ? 'NTLM' : SCHEME_WORD[SCHEME_OF[way]];
