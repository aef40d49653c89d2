import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Account, accountLabel } from './account.ts';
import { versionOfFile } from './secret-file.ts';

/** What `viaduct login` tells a running proxy, and the next one; it holds no secret. */
export interface LoginRecord {
  /** Whose entry in the keyring is used where nothing else names an account. */
  readonly account?: Account | undefined;
  /** When the keyring was told about an account, in milliseconds of the wall clock, by `accountLabel`. */
  readonly told: Readonly<Record<string, number>>;
}

export const NO_LOGIN: LoginRecord = { told: {} };

/** More accounts than anybody has; the oldest is forgotten. */
const TOLD_MAX = 64;

export const loginFile = (stateDir: string): string => join(stateDir, 'login.json');

/** Changes whenever somebody has logged in or out. */
export const loginVersion = (file: string): Promise<string | undefined> => versionOfFile(file);

/** A file that is missing, or is none of ours, says nothing. */
export async function readLogin(file: string): Promise<LoginRecord> {
  try {
    const read: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (!isMap(read)) return NO_LOGIN;
    const { account, told } = read;
    return {
      account:
        isMap(account) && typeof account.user === 'string' ? plainAccount(account.user, account.domain) : undefined,
      told: Object.fromEntries(
        Object.entries(isMap(told) ? told : {}).flatMap(([label, at]) => (typeof at === 'number' ? [[label, at]] : [])),
      ),
    };
  } catch {
    return NO_LOGIN;
  }
}

/** Notes that the keyring was told about `account`; `becomes`: the account that is used from now on by default. */
export async function noteLogin(
  file: string,
  account: Account,
  becomes: Account | undefined,
  wallMs: number,
): Promise<void> {
  const before = await readLogin(file);
  const label = accountLabel(account);
  const others = Object.entries(before.told).filter(([one]) => one !== label);
  const told = Object.fromEntries([...others.slice(1 - TOLD_MAX), [label, wallMs]]);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  // Renamed into place: a proxy that reads meanwhile sees the old record or the new one.
  const fresh = `${file}.${process.pid}`;
  await writeFile(fresh, `${JSON.stringify({ account: becomes, told })}\n`, { mode: 0o600 });
  await rename(fresh, file);
}

const plainAccount = (user: string, domain: unknown): Account => ({
  user,
  domain: typeof domain === 'string' ? domain : undefined,
});

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
