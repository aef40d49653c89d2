import { systemClock } from '../core/clock.ts';
import { accountLabel, agree } from '../credentials/account.ts';
import { ntlmCredentials } from '../credentials/environment.ts';
import { KEYRING_SERVICE } from '../credentials/keyring.ts';
import { noteLogin, readLogin } from '../credentials/login-record.ts';
import type { Call } from './commands.ts';
import { loginTask, tellWithout } from './login-account.ts';
import { out, tell, UsageError } from './print.ts';
import { processPrompt, readSecret } from './prompt.ts';

/** `viaduct login [ACCOUNT]`: stores a password in the keyring; proxies that run notice. */
export async function run({ operands: [name], settings }: Call): Promise<number> {
  const { account, isDefault, keyring, record, environment } = loginTask(name, settings, process.env);
  const label = accountLabel(account);
  // Before anybody types: most machines without a keyring say so here.
  const before = await keyring.find(KEYRING_SERVICE, label);
  if (before.at === 'unavailable') {
    tellWithout(before.why);
    return 1;
  }
  const secret = await readSecret(`Password (for ${label}): `, processPrompt());
  if (secret === undefined) throw new UsageError(`no password for ${label}: type it, or pipe it in`);
  const stored = await keyring.store(KEYRING_SERVICE, label, secret);
  if (stored.at === 'unavailable') {
    tellWithout(stored.why);
    return 1;
  }
  await noteLogin(record, account, isDefault ? account : (await readLogin(record)).account, systemClock.wallMs());
  out(`stored the password of ${label} in the keyring`);
  const variable = ntlmCredentials(environment);
  if (variable !== undefined && agree(variable.account, account)) {
    tell('viaduct: NTLM_CREDENTIALS has this account too, and comes first when a proxy starts');
  }
  return 0;
}
