import { splitAccount } from '../protocol/ntlm-hash.ts';
import type { AccountOptions } from './options.ts';

/** Who somebody is at an upstream proxy, without the secret. */
export interface Account {
  readonly user: string;
  readonly domain: string | undefined;
}

/** `CORP\me` in one text is taken apart; `me@corp.example` stays whole: it may be the name of the user (a UPN). */
export function accountOf({ user, domain }: AccountOptions, loginName: string): Account {
  const given = user ?? loginName;
  if (!given.includes('\\')) return { user: given, domain };
  const parts = splitAccount(given, domain);
  return { user: parts.user, domain: parts.domain || undefined };
}

/** `CORP\me`, or `me`: what people read, and the name of an entry in the keyring. */
export const accountLabel = ({ user, domain }: Account): string => (domain ? `${domain}\\${user}` : user);

/** Windows tells names and domains apart without regard to case; one that leaves the domain open agrees with any. */
export function agree(one: Account, other: Account): boolean {
  const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();
  return same(one.user, other.user) && (!one.domain || !other.domain || same(one.domain, other.domain));
}
