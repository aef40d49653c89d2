import { createHmac, randomBytes } from 'node:crypto';
import type { Credential, CredentialSecret } from '../core/contracts.ts';
import type { Account } from './account.ts';

/** An account and its secret, as they were found. */
export interface Found {
  readonly account: Account;
  readonly secret: CredentialSecret;
  /** For people: `keyring`, `NTLM_CREDENTIALS`, … */
  readonly source: string;
  /** When `viaduct login` last told the keyring about the account; 0: never, or it does not come from there. */
  readonly toldMs: number;
}

/**
 * Makes credentials whose `id` nobody can compute or reverse: it is made with a key of this maker alone. Two makers
 * give different ids, so that what is latched under one of them is tried again under the next.
 */
export function credentialMaker(key: Buffer = randomBytes(32)): (found: Found) => Credential {
  return ({ account: { user, domain }, secret, source, toldMs }) => {
    const value = secret.kind === 'password' ? secret.password : secret.hash;
    const told = JSON.stringify([user, domain ?? null, secret.kind, value.reveal(), toldMs]);
    const id = createHmac('sha256', key).update(told).digest('base64url').slice(0, ID_CHARACTERS);
    return { user, domain, secret, source, id };
  };
}

/** 132 bits: two secrets never share an id. */
const ID_CHARACTERS = 22;
