import { accountLabel } from '../../contracts/account.ts';
import { KEYRING_SERVICE } from '../../credentials/keyring/keyring.ts';
import { readLogin, recordLogin } from '../../credentials/login-record.ts';
import { systemClock } from '../../util/clock.ts';
import type { Call } from '../command.ts';
import { out } from '../print.ts';
import { loginTask, logKeyringUnavailable } from './login-account.ts';

/** `viaduct logout [ACCOUNT]`: removes what `viaduct login` has stored, and nothing that other programs have. */
export async function run({ operands: [name], settings }: Call): Promise<number> {
  const { account, isDefault, keyring, record } = loginTask(name, settings, process.env);
  const label = accountLabel(account);
  const removed = await keyring.remove(KEYRING_SERVICE, label);
  if (removed.at === 'unavailable') {
    logKeyringUnavailable(removed.why);
    return 1;
  }
  await recordLogin(record, account, isDefault ? undefined : (await readLogin(record)).account, systemClock.wallMs());
  out(removed.at === 'done' ? `removed the password of ${label}` : `the keyring has no password of ${label}`);
  return 0;
}
