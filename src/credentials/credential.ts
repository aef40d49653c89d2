import { createHmac, randomBytes } from 'node:crypto';
import type { Account } from '../contracts/account.ts';
import type { Credential, CredentialSecret } from '../contracts/upstream-account.ts';

/** An account and its secret, as they were found. */
export interface FoundSecret {
  readonly account: Account;
  readonly secret: CredentialSecret;
  /** For people: `keyring`, `NTLM_CREDENTIALS`, … */
  readonly source: string;
  /** When `viaduct login` last stored it in the keyring; 0: never, or it does not come from there. */
  readonly loginMs: number;
}

/**
 * Makes credentials whose `id` cannot be computed or reversed without the key. Makers with different keys give different
 * ids, so that what is latched under one of them is tried again under the next.
 */
export function credentialMaker(key: Buffer = randomBytes(32)): (found: FoundSecret) => Credential {
  return ({ account: { user, domain }, secret, source, loginMs }) => {
    const value = secret.kind === 'password' ? secret.password : secret.hash;
    const identity = JSON.stringify([user, domain ?? null, secret.kind, value.reveal(), loginMs]);
    const id = createHmac('sha256', key).update(identity).digest('base64url').slice(0, ID_CHARACTERS);
    return { user, domain, secret, source, id };
  };
}

/** 132 bits: two secrets never share an id. */
const ID_CHARACTERS = 22;
