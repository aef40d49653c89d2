import type { Config } from '../../config/config.ts';
import type { FlagValue } from '../../config/flags.ts';
import { suggestion } from '../../config/nearest.ts';
import { load } from '../../config/sources.ts';
import type { Account } from '../../contracts/account.ts';
import { accountOf } from '../../credentials/account.ts';
import { upstreamFinder } from '../../credentials/credential-store.ts';
import { type Environment, ntlmAccount, ntlmCredentials } from '../../credentials/environment.ts';
import { type Keyring, systemKeyring } from '../../credentials/keyring/keyring.ts';
import { loginName } from '../../credentials/login-name.ts';
import { loginFile } from '../../credentials/login-record.ts';
import { DEFAULT_ACCOUNT } from '../../credentials/options.ts';
import { stateFolder } from '../../files/state-folder.ts';
import { parseProxyUrl } from '../../protocol/routes/proxy-url.ts';
import { systemClock } from '../../util/clock.ts';
import { quoted } from '../../util/redact.ts';
import { logLine, UsageError } from '../print.ts';

/** Whose password `login` and `logout` are about, and where they go. */
export interface LoginTask {
  readonly config: Config;
  /** Of the account in the configuration. */
  readonly name: string;
  readonly account: Account;
  /** Whether it is the account of proxies that have no other. */
  readonly isDefault: boolean;
  readonly keyring: Keyring;
  readonly record: string;
  readonly environment: Environment;
}

/** `which`: the name of an account, a proxy that has one, or `CORP\me` as with `-u`; `undefined`: the default account. */
export function loginTask(
  which: string | undefined,
  settings: readonly FlagValue[],
  environment: Environment,
): LoginTask {
  const { config, notices } = load({ flags: settings, environment, isTerminal: false });
  for (const notice of notices) logLine(`viaduct: ${notice}`);
  const typed = which?.includes('\\') ? accountOf({ user: which }, '') : undefined;
  const name = which === undefined || typed !== undefined ? DEFAULT_ACCOUNT : accountNameOf(which, config);
  const account = typed ?? accountNamed(name, config, environment);
  if (account.user === '') throw new UsageError('name the user of the account with --user');
  return {
    config,
    name,
    account,
    isDefault: name === DEFAULT_ACCOUNT,
    keyring: systemKeyring({ clock: systemClock, environment, platform: process.platform }),
    record: loginFile(stateFolder(environment)),
    environment,
  };
}

/** A proxy has a dot, a port or a scheme: a typo in the name of an account must not store a password elsewhere. */
function accountNameOf(which: string, { credentials, upstreams }: Config): string {
  if (Object.hasOwn(credentials.accounts, which) || !/[.:/]/.test(which)) return which;
  try {
    const { proxy } = parseProxyUrl(which, 'user');
    return upstreamFinder(upstreams)(proxy.host)?.credentials ?? DEFAULT_ACCOUNT;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** One line about a keyring that cannot be used, with what works without one. */
export function logKeyringUnavailable(why: string): void {
  logLine(
    `viaduct: ${why}; without one, set NTLM_CREDENTIALS (viaduct hash prints it), keep the password in a file with mode 0600 (credentials: { default: { from: "file:PATH" } }), or let --user and --domain ask at start`,
  );
}

function accountNamed(name: string, { credentials: { accounts } }: Config, environment: Environment): Account {
  const configured = Object.hasOwn(accounts, name) ? accounts[name] : undefined;
  if (configured !== undefined) return accountOf(configured, loginName());
  if (name === DEFAULT_ACCOUNT) {
    return ntlmAccount(environment) ?? ntlmCredentials(environment)?.account ?? accountOf({}, loginName());
  }
  const names = Object.keys(accounts);
  const known = names.length === 0 ? 'the configuration has none' : `known are ${names.join(', ')}`;
  throw new UsageError(`there is no account ${quoted(name)}${suggestion(name, names) || `; ${known}`}`);
}
