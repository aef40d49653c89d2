import type { ShownPac } from '../../admin/controlled-proxy.ts';
import { type Account, accountLabel } from '../../contracts/account.ts';
import { basicCredentials, type Environment, ntlmAccount, ntlmCredentials } from '../../credentials/environment.ts';
import { readLogin } from '../../credentials/login-record.ts';

export interface FirstRun {
  readonly pac: ShownPac;
  /** The account that upstream proxies would be shown; `undefined`: none is set. */
  readonly account: Account | undefined;
  readonly urls: readonly string[];
  readonly dashboard: string | undefined;
}

/** What a person reads who starts `viaduct` without a configuration: what it found, where it serves, what to do next. */
export function firstRunLines({ pac, account, urls, dashboard }: FirstRun): string[] {
  const login =
    account === undefined
      ? 'no account is stored (viaduct login stores one; Kerberos tickets are used as they are)'
      : `account ${accountLabel(account)}`;
  const shown = dashboard === undefined ? '' : `; ${dashboard} shows what it does`;
  return [
    `found: ${foundText(pac)}; ${login}`,
    `try: curl -x ${urls[0] ?? 'localhost:3128'} https://example.com/`,
    `next: viaduct setup points the programs of this machine at it${shown}`,
  ];
}

function foundText(pac: ShownPac): string {
  switch (pac.state) {
    case 'none':
      return "no proxy in the system's settings, so requests go direct";
    case 'system-proxies':
      return `proxies, named by ${pac.source}`;
    case 'script':
      return `PAC ${pac.source}`;
    case 'unreachable':
      return `PAC ${pac.source ?? ''}, which cannot be read now (${pac.lastError})`;
  }
}

/** The account that the environment names, or else the one of `viaduct login`. */
export async function accountAtHand(environment: Environment, loginFile: string): Promise<Account | undefined> {
  const named = ntlmCredentials(environment)?.account ?? ntlmAccount(environment);
  return named ?? basicCredentials(environment)?.account ?? (await readLogin(loginFile)).account;
}
