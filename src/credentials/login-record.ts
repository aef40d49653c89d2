import { join } from 'node:path';
import { type Account, accountLabel } from '../contracts/account.ts';
import { readFileAsync } from '../files/read-file.ts';
import { replaceFileDurably } from '../files/replace-file.ts';
import { versionOfFile } from './secret-file.ts';

/** What `viaduct login` leaves for the proxy that runs, and for the next start; it holds no secret. */
export interface LoginRecord {
  /** Whose entry in the keyring is used where nothing else names an account. */
  readonly account?: Account | undefined;
  /** When an account was last stored in or removed from the keyring, in wall-clock milliseconds, by `accountLabel`. */
  readonly loginTimes: Readonly<Record<string, number>>;
}

export const NO_LOGIN: LoginRecord = { loginTimes: {} };

/** More accounts than anyone has; the oldest is forgotten. */
const LOGIN_TIMES_MAX = 64;
/** More than all of them need; a larger file was not written by us. */
const FILE_BYTES_MAX = 64 * 1024;

export const loginFile = (stateDir: string): string => join(stateDir, 'login.json');

/** Changes with every `viaduct login` and `viaduct logout`. */
export const loginVersion = (file: string): Promise<string | undefined> => versionOfFile(file);

/** A file that is missing, or that we have not written, counts as empty. */
export async function readLogin(file: string): Promise<LoginRecord> {
  try {
    const read: unknown = JSON.parse((await readFileAsync(file, { bytesMax: FILE_BYTES_MAX })).toString('utf8'));
    if (!isMap(read)) return NO_LOGIN;
    const { account, loginTimes } = read;
    return {
      account:
        isMap(account) && typeof account.user === 'string' ? plainAccount(account.user, account.domain) : undefined,
      loginTimes: Object.fromEntries(
        Object.entries(isMap(loginTimes) ? loginTimes : {}).flatMap(([label, at]) =>
          typeof at === 'number' ? [[label, at]] : [],
        ),
      ),
    };
  } catch {
    return NO_LOGIN;
  }
}

/** Records that `account` was stored in or removed from the keyring. `defaultAccount`: the one that is used from now on. */
export async function recordLogin(
  file: string,
  account: Account,
  defaultAccount: Account | undefined,
  wallMs: number,
): Promise<void> {
  const before = await readLogin(file);
  const label = accountLabel(account);
  const others = Object.entries(before.loginTimes).filter(([one]) => one !== label);
  const loginTimes = Object.fromEntries([...others.slice(1 - LOGIN_TIMES_MAX), [label, wallMs]]);
  await replaceFileDurably(file, `${JSON.stringify({ account: defaultAccount, loginTimes })}\n`);
}

const plainAccount = (user: string, domain: unknown): Account => ({
  user,
  domain: typeof domain === 'string' ? domain : undefined,
});

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
