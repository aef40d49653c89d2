import { type Account, accountLabel, accountOf } from '../credentials/account.ts';
import { loginName } from '../credentials/login-name.ts';
import { alpacaLines, cntlmLines } from '../protocol/ntlm-hash-lines.ts';
import type { Call } from './commands.ts';
import { out, UsageError } from './print.ts';
import { processPrompt, readSecret } from './prompt.ts';

/** `viaduct hash`: the lines of Alpaca and those of cntlm. */
export const run = (call: Call): Promise<number> => printHash(call, 'alpaca and cntlm');

/**
 * Reads a password and prints what may stand for it. No configuration is read: it may refer to the very file that this
 * is going to fill.
 */
export async function printHash(call: Call, which: 'alpaca' | 'alpaca and cntlm'): Promise<number> {
  const account = accountGiven(call);
  const label = accountLabel(account);
  const password = await readSecret(`Password (for ${label}): `, processPrompt());
  if (password === undefined) throw new UsageError(`no password for ${label}: type it, or pipe it in`);
  const whole = { user: account.user, domain: account.domain ?? '', password };
  for (const line of alpacaLines(whole)) out(line);
  if (which === 'alpaca and cntlm') for (const line of cntlmLines(whole)) out(line);
  return 0;
}

/** From the flags alone, whichever way the command takes them; the domain belongs to the line, so it is asked for. */
function accountGiven({ options, settings }: Call): Account {
  const given = (name: string) =>
    options.get(name)?.at(-1) ?? settings.findLast(({ flag }) => flag.name === name)?.text;
  const [user, domain] = [given('user'), given('domain')];
  const account = accountOf({ user: user || undefined, domain: domain || undefined }, loginName());
  if (account.user === '') throw new UsageError('name the user of the account with --user');
  if (domain === undefined && account.domain === undefined) {
    throw new UsageError("name the domain of the account with --domain, and the user with --user; --domain '' is none");
  }
  return account;
}
