import { type Account, accountLabel } from '../../contracts/account.ts';
import { accountOf } from '../../credentials/account.ts';
import { loginName } from '../../credentials/login-name.ts';
import { digestLines, isDigestRealm } from '../../identity/digest-line.ts';
import { alpacaLines, cntlmLines } from '../../protocol/ntlm/ntlm-hash-lines.ts';
import type { Call } from '../command.ts';
import { out, UsageError } from '../print.ts';
import { processPrompt, readSecret } from './prompt.ts';

/** `viaduct hash`: the lines of Alpaca and those of cntlm, or with a realm those of `clients.users` for Digest. */
export function run(call: Call): Promise<number> {
  const realm = call.options.get('realm')?.at(-1);
  return realm === undefined ? printHash(call, 'alpaca and cntlm') : printDigest(call, realm);
}

async function printDigest(call: Call, realm: string): Promise<number> {
  const user = call.options.get('user')?.at(-1) ?? loginName();
  if (user === '' || user.includes(':')) throw new UsageError('name the user with --user; a name has no colon');
  if (!isDigestRealm(realm))
    throw new UsageError('--realm has a colon, a quote or a control character, or is too long');
  const password = await readSecret(`Password (for ${user}): `, processPrompt());
  if (password === undefined) throw new UsageError(`no password for ${user}: type it, or pipe it in`);
  for (const line of digestLines({ user, realm, password: password.reveal() })) out(line);
  return 0;
}

/**
 * Reads a password and prints what may stand for it. No configuration is read: it may refer to the very file that this
 * is going to fill.
 */
export async function printHash(call: Call, which: 'alpaca' | 'alpaca and cntlm'): Promise<number> {
  const account = accountFromFlags(call);
  const label = accountLabel(account);
  const password = await readSecret(`Password (for ${label}): `, processPrompt());
  if (password === undefined) throw new UsageError(`no password for ${label}: type it, or pipe it in`);
  const whole = { user: account.user, domain: account.domain ?? '', password };
  for (const line of alpacaLines(whole)) out(line);
  if (which === 'alpaca and cntlm') for (const line of cntlmLines(whole)) out(line);
  return 0;
}

/** From the flags alone, as own flags or as settings. The lines that are printed hold the domain, so it is required. */
function accountFromFlags({ options, settings }: Call): Account {
  const flagText = (name: string) =>
    options.get(name)?.at(-1) ?? settings.findLast(({ flag }) => flag.name === name)?.text;
  const [user, domain] = [flagText('user'), flagText('domain')];
  const account = accountOf({ user: user || undefined, domain: domain || undefined }, loginName());
  if (account.user.includes(':')) {
    throw new UsageError('--user has a colon, which no user name has; the password is asked for');
  }
  if (account.user === '') throw new UsageError('name the user of the account with --user');
  if (domain === undefined && account.domain === undefined) {
    throw new UsageError("name the domain of the account with --domain, and the user with --user; --domain '' is none");
  }
  return account;
}
