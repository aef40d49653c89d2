import type { Account } from '../contracts/account.ts';
import { splitAccount } from '../protocol/ntlm/ntlm-hash.ts';
import type { AccountOptions } from './options.ts';

/** `CORP\me` in one text is taken apart; `me@corp.example` stays whole: it may be the name of the user (a UPN). */
export function accountOf({ user, domain }: AccountOptions, loginName: string): Account {
  const name = user ?? loginName;
  if (!name.includes('\\')) return { user: name, domain };
  const parts = splitAccount(name, domain);
  return { user: parts.user, domain: parts.domain || undefined };
}

/** Windows compares names and domains without regard to case; an account without a domain is the same in any. */
export function isSameAccount(one: Account, other: Account): boolean {
  const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();
  return same(one.user, other.user) && (!one.domain || !other.domain || same(one.domain, other.domain));
}
