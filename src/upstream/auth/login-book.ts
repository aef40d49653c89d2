import { createHmac, randomBytes } from 'node:crypto';
import type { Credential, CredentialBook } from '../../core/contracts.ts';
import type { Hop, Login } from '../../core/stages.ts';

/** Who we are where nothing but a proxy's URL can say so. Whoever calls has named the proxy, and trusts it. */
export const loginBook: CredentialBook = {
  accountAt: ({ login }: Hop) =>
    Promise.resolve(
      login === undefined
        ? { at: 'known', schemes: ['negotiate'], credential: undefined }
        : { at: 'known', schemes: ['negotiate', 'ntlm', 'digest', 'basic'], credential: credentialOf(login) },
    ),
};

/** Nobody outside of this process can make anything of an id. */
const KEY = randomBytes(32);

function credentialOf({ user, password }: Login): Credential {
  const [, domain, name = user] = /^([^\\]*)\\(.*)$/s.exec(user) ?? [];
  const id = createHmac('sha256', KEY)
    .update(JSON.stringify([user, password.reveal()]))
    .digest('base64url');
  return {
    user: name,
    domain: domain || undefined,
    secret: { kind: 'password', password },
    source: 'URL of the proxy',
    id,
  };
}
