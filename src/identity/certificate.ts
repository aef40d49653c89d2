import { type Authenticator, requiresLogin } from '../contracts/identity.ts';

/**
 * A client whose certificate names a user is that user, also where it sends a password as well: the listener has verified it. All other
 * clients are identified by `others`.
 */
export const withCertificates = (others: Authenticator): Authenticator => ({
  scheme: others.scheme,
  requires: (client) => (client.tls?.user === undefined ? requiresLogin(others, client) : 'nothing'),
  identify(from) {
    const user = from.request.client.tls?.user;
    return user === undefined ? others.identify(from) : { name: user, scheme: 'mtls' };
  },
});
