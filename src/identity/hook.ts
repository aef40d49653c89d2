import type { Authenticator } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import { basicAuthenticator, type Credentials } from './basic.ts';

/**
 * Who is that? Gets the user name and the password that a client has sent (Basic), and says who it is, or `null` when
 * the password is not theirs: then the client is asked again (407). Asked for every request, nothing is remembered.
 * A throw, or any other answer, answers 500 `hook_failed`; a `ProxyError` answers what it says.
 */
export type AuthenticateHook = (
  credentials: Credentials,
) => { readonly id: string } | null | undefined | Promise<{ readonly id: string } | null | undefined>;

export const hookAuthenticator = (authenticate: AuthenticateHook): Authenticator =>
  basicAuthenticator(async (credentials) => {
    try {
      const user = await authenticate(credentials);
      if (user === null || user === undefined) return null;
      if (typeof user.id === 'string' && user.id !== '') return { id: user.id };
    } catch (cause) {
      if (cause instanceof ProxyError) throw cause;
      // Never its message: it may hold the password.
      throw failed(cause instanceof Error ? cause.name : 'threw', cause);
    }
    throw failed('answered neither { id } nor null');
  });

const failed = (why: string, cause?: unknown): ProxyError =>
  new ProxyError('hook_failed', `authenticate hook: ${why}`, { cause });
