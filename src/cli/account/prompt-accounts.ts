import type { Secret } from '../../contracts/secret.ts';
import { accountsNeedingPrompt } from '../../credentials/accounts-needing-prompt.ts';
import type { CredentialStoreDeps, CredentialStoreOptions } from '../../credentials/credential-store.ts';
import type { Environment } from '../../credentials/environment.ts';
import { stableIdKey } from '../../credentials/id-key.ts';
import { systemKeyring } from '../../credentials/keyring/keyring.ts';
import { loginName } from '../../credentials/login-name.ts';
import { loginFile } from '../../credentials/login-record.ts';
import { type Clock, systemClock } from '../../util/clock.ts';
import { UsageError } from '../print.ts';
import { type PromptOptions, processPrompt, readSecret } from './prompt.ts';

/** Where the credential store of `viaduct run` finds secrets. Made once: typed passwords outlive reloads. */
export async function credentialSources(
  options: CredentialStoreOptions,
  environment: Environment,
  stateDir: string,
  prompt: PromptOptions = processPrompt(),
): Promise<CredentialStoreDeps> {
  const sources = { ...nonInteractiveSources(environment, stateDir), startedMs: systemClock.wallMs() };
  const prompted = await promptForAccounts(await accountsNeedingPrompt(options, sources), prompt);
  return { ...sources, prompted };
}

/** Where secrets come from without a prompt. */
export const nonInteractiveSources = (
  environment: Environment,
  stateDir: string,
): Omit<CredentialStoreDeps, 'prompted' | 'startedMs'> & { readonly clock: Clock } => {
  const idKey = stableIdKey(stateDir);
  return {
    clock: systemClock,
    environment,
    keyring: systemKeyring({ clock: systemClock, environment, platform: process.platform }),
    loginFile: loginFile(stateDir),
    loginName: loginName(),
    idKey: () => idKey,
  };
};

/** Asks for each password once. Throws UsageError where standard input is not a terminal. */
async function promptForAccounts(
  accounts: Awaited<ReturnType<typeof accountsNeedingPrompt>>,
  prompt: PromptOptions,
): Promise<ReadonlyMap<string, Secret>> {
  const typed = new Map<string, Secret>();
  for (const { name, label } of accounts) {
    if (prompt.input.isTTY !== true) {
      throw new UsageError(
        `there is no password of ${label}, and standard input is not a terminal to ask at: set NTLM_CREDENTIALS (viaduct hash prints it), use viaduct login, or keep it in a file with mode 0600 (credentials: { ${name}: { from: "file:PATH" } })`,
      );
    }
    const secret = await readSecret(`Password (for ${label}): `, prompt);
    if (secret === undefined) throw new UsageError(`no password for ${label}`);
    typed.set(label, secret);
  }
  return typed;
}
