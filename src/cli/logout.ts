import { systemClock } from '../core/clock.ts';
import { accountLabel } from '../credentials/account.ts';
import { KEYRING_SERVICE } from '../credentials/keyring.ts';
import { noteLogin, readLogin } from '../credentials/login-record.ts';
import type { Call } from './commands.ts';
import { loginTask, tellWithout } from './login-account.ts';
import { out } from './print.ts';

/** `viaduct logout [ACCOUNT]`: removes what `viaduct login` has stored, and nothing that others have. */
export async function run({ operands: [name], settings }: Call): Promise<number> {
  const { account, isDefault, keyring, record } = loginTask(name, settings, process.env);
  const label = accountLabel(account);
  const removed = await keyring.remove(KEYRING_SERVICE, label);
  if (removed.at === 'unavailable') {
    tellWithout(removed.why);
    return 1;
  }
  await noteLogin(record, account, isDefault ? undefined : (await readLogin(record)).account, systemClock.wallMs());
  out(removed.at === 'done' ? `removed the password of ${label}` : `the keyring has no password of ${label}`);
  return 0;
}
