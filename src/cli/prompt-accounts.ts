import { type Clock, systemClock } from '../core/clock.ts';
import type { Secret } from '../core/secret.ts';
import type { BookOptions, BookParts } from '../credentials/book.ts';
import type { Environment } from '../credentials/environment.ts';
import { systemKeyring } from '../credentials/keyring.ts';
import { loginName } from '../credentials/login-name.ts';
import { loginFile } from '../credentials/login-record.ts';
import { accountsToAsk } from '../credentials/to-ask.ts';
import { UsageError } from './print.ts';
import { type PromptParts, processPrompt, readSecret } from './prompt.ts';

/** What a `CredentialBook` reads, of the program that runs a proxy. Made once: it outlives reloads. */
export async function credentialSources(
  options: BookOptions,
  environment: Environment,
  stateDir: string,
  prompt: PromptParts = processPrompt(),
): Promise<BookParts> {
  const parts = { ...silentSources(environment, stateDir), startedMs: systemClock.wallMs() };
  const prompted = await askForAccounts(await accountsToAsk(options, parts), prompt);
  return { ...parts, prompted };
}

/** Where passwords come from without asking anybody. */
export const silentSources = (
  environment: Environment,
  stateDir: string,
): Omit<BookParts, 'prompted' | 'startedMs'> & { readonly clock: Clock } => ({
  clock: systemClock,
  environment,
  keyring: systemKeyring({ clock: systemClock, environment, platform: process.platform }),
  loginFile: loginFile(stateDir),
  loginName: loginName(),
});

/** Asks for each password once. Throws UsageError where nobody could answer. */
async function askForAccounts(
  accounts: Awaited<ReturnType<typeof accountsToAsk>>,
  prompt: PromptParts,
): Promise<ReadonlyMap<string, Secret>> {
  const typed = new Map<string, Secret>();
  for (const { name, label } of accounts) {
    if (prompt.input.isTTY !== true) {
      throw new UsageError(
        `there is no password of ${label}, and standard input is no terminal to ask at: set NTLM_CREDENTIALS (viaduct hash prints it), use viaduct login, or keep it in a file with mode 0600 (credentials: { ${name}: { from: "file:PATH" } })`,
      );
    }
    const secret = await readSecret(`Password (for ${label}): `, prompt);
    if (secret === undefined) throw new UsageError(`no password for ${label}`);
    typed.set(name, secret);
  }
  return typed;
}
