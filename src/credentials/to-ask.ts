import type { Clock } from '../core/clock.ts';
import { accountLabel, accountOf } from './account.ts';
import { AccountSecret } from './account-secret.ts';
import type { BookOptions, BookParts } from './book.ts';
import { LoginWatch } from './login-watch.ts';
import { DEFAULT_ACCOUNT } from './options.ts';

/** An account whose password a person has to type. */
export interface AccountToAsk {
  /** Key of `BookParts.prompted`. */
  readonly name: string;
  /** `CORP\me`. */
  readonly label: string;
}

/**
 * The accounts in use that have no secret: those that say `prompt`, and those that say nothing and have none in the
 * environment or the keyring. An account that no entry of `upstreams` names is nobody's.
 */
export async function accountsToAsk(
  options: BookOptions,
  parts: Omit<BookParts, 'prompted'> & { readonly clock: Clock },
): Promise<AccountToAsk[]> {
  const logins = new LoginWatch(parts.loginFile, parts.clock);
  const used = new Set([DEFAULT_ACCOUNT, ...options.upstreams.map(({ credentials }) => credentials)]);
  const asked: AccountToAsk[] = [];
  for (const [name, { from, ...given }] of Object.entries(options.accounts)) {
    if (!used.has(name) || (from !== undefined && from.kind !== 'prompt')) continue;
    const account = accountOf(given, parts.loginName);
    const secret = new AccountSecret({ account, from, prompted: undefined }, { ...parts, logins });
    if ((await secret.current()) === undefined) asked.push({ name, label: accountLabel(account) });
  }
  return asked;
}
