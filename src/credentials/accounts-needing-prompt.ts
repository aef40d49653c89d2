import { accountLabel } from '../contracts/account.ts';
import type { Clock } from '../util/clock.ts';
import { accountOf } from './account.ts';
import { AccountSecret } from './account-secret.ts';
import type { CredentialStoreDeps, CredentialStoreOptions } from './credential-store.ts';
import { LoginWatch } from './login-watch.ts';
import { DEFAULT_ACCOUNT } from './options.ts';

/** An account whose password the user has to type. */
export interface AccountNeedingPrompt {
  /** In the configuration, where another source can be named. */
  readonly name: string;
  /** `CORP\me`: key of `CredentialStoreDeps.prompted`. */
  readonly label: string;
}

/**
 * The accounts in use that have no secret: those with `from: prompt`, and those without `from` that have none in the
 * environment or the keyring. An account that no entry of `upstreams` names is not in use.
 */
export async function accountsNeedingPrompt(
  options: CredentialStoreOptions,
  deps: Omit<CredentialStoreDeps, 'prompted'> & { readonly clock: Clock },
): Promise<AccountNeedingPrompt[]> {
  const logins = new LoginWatch(deps.loginFile, deps.clock);
  const used = new Set([DEFAULT_ACCOUNT, ...options.upstreams.map(({ credentials }) => credentials)]);
  const needed: AccountNeedingPrompt[] = [];
  for (const [name, { from, ...given }] of Object.entries(options.accounts)) {
    if (!used.has(name) || (from !== undefined && from.kind !== 'prompt')) continue;
    const account = accountOf(given, deps.loginName);
    const secret = new AccountSecret({ account, from, prompted: undefined }, { ...deps, logins });
    const label = accountLabel(account);
    const isListed = needed.some((one) => one.label === label);
    if (!isListed && (await secret.current()) === undefined) needed.push({ name, label });
  }
  return needed;
}
