import { accountLabel } from '../../contracts/account.ts';
import type { Secret } from '../../contracts/secret.ts';
import { isSameAccount } from '../../credentials/account.ts';
import { ntlmCredentials } from '../../credentials/environment.ts';
import { KEYRING_SERVICE } from '../../credentials/keyring/keyring.ts';
import { readLogin, recordLogin } from '../../credentials/login-record.ts';
import { stateFolder } from '../../files/state-folder.ts';
import { systemClock } from '../../util/clock.ts';
import { redact } from '../../util/redact.ts';
import type { Call } from '../command.ts';
import { logLine, out, UsageError } from '../print.ts';
import { type LoginTask, loginTask, logKeyringUnavailable } from './login-account.ts';
import { processPrompt, readSecret } from './prompt.ts';

/** `viaduct login [ACCOUNT]`: stores a password in the keyring; running proxies use it at once. */
export async function run({ operands: [name], settings, options }: Call): Promise<number> {
  const task = loginTask(name, settings, process.env);
  const { account, isDefault, keyring, record, environment } = task;
  const label = accountLabel(account);
  // Before the password is typed: a machine without a keyring is found here.
  const before = await keyring.find(KEYRING_SERVICE, label);
  if (before.at === 'unavailable') {
    logKeyringUnavailable(before.why);
    return 1;
  }
  const secret = await readSecret(`Password (for ${label}): `, processPrompt());
  if (secret === undefined) throw new UsageError(`no password for ${label}: type it, or pipe it in`);
  if (!options.has('no-test') && !(await isUsable(task, secret))) return 1;
  const stored = await keyring.store(KEYRING_SERVICE, label, secret);
  if (stored.at === 'unavailable') {
    logKeyringUnavailable(stored.why);
    return 1;
  }
  await recordLogin(record, account, isDefault ? account : (await readLogin(record)).account, systemClock.wallMs());
  out(`stored the password of ${label} in the keyring`);
  const variable = ntlmCredentials(environment);
  if (variable !== undefined && isSameAccount(variable.account, account)) {
    logLine('viaduct: NTLM_CREDENTIALS has this account too, and comes first when a proxy starts');
  }
  return 0;
}

/** Tries it once at the upstream proxy: a wrong password that is stored would be sent by every program. */
async function isUsable(task: LoginTask, secret: Secret): Promise<boolean> {
  const { tryLogin } = await import('./try-login.ts');
  const verdict = await tryLogin(task, secret, stateFolder(process.env));
  switch (verdict.is) {
    case 'accepted':
      logLine(`viaduct: ${redact(verdict.proxy)} accepts it`);
      return true;
    case 'rejected':
      logLine(
        `viaduct: ${redact(verdict.proxy)} does not accept it; nothing is stored (--no-test stores it all the same). Mind that some attempts more may lock the account`,
      );
      return false;
    case 'unreachable':
      logLine(`viaduct: ${redact(verdict.proxy)} cannot be reached, so it is stored without a try`);
      return true;
    case 'not-asked':
      return true;
  }
}
