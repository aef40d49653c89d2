import { ProxyError } from '../contracts/failure.ts';
import type { Authenticator, Challenge, IdentifiableRequest } from '../contracts/identity.ts';
import { requiresLogin } from '../contracts/identity.ts';
import type { ClientInfo } from '../contracts/request.ts';
import type { Principal } from '../contracts/stages.ts';
import type { AcceptedTicket, KerberosAcceptor } from '../gssapi/acceptor.ts';

/** What a listener asks its clients for. */
export interface NegotiateSettings {
  /** Path of the file with the keys of `HTTP/name-of-this-proxy`. */
  readonly keytab: string;
  /** Users of this realm alone, by their bare names. `undefined`: of all realms, by their whole names. */
  readonly realm?: string | undefined;
}

export interface NegotiateDeps {
  readonly acceptor: KerberosAcceptor;
  /** `undefined`: the listener does not ask for it. */
  settingsOf(client: ClientInfo): NegotiateSettings | undefined;
  /** What the configuration asks of all clients besides. */
  readonly inner: Authenticator;
}

const NOTHING_SENT = 'no credentials';
const SCHEME = /^negotiate(?: +([A-Za-z0-9+/]+={0,2}))? *$/i;

/**
 * Negotiate (RFC 4559) with Kerberos, on listeners that ask for it; what the others ask for is offered behind it. Each request
 * proves itself with a ticket: nothing is remembered of a connection, which another proxy may share among users.
 */
export function negotiateAuthenticator({ acceptor, settingsOf, inner }: NegotiateDeps): Authenticator {
  const ask = async (from: IdentifiableRequest, reason?: string): Promise<Principal | Challenge> => {
    if (inner.scheme === 'none') return { challenge: 'Negotiate', reason: reason ?? NOTHING_SENT };
    const result = await inner.identify(from);
    if (!('challenge' in result)) return result;
    const { challenge, further = [] } = result;
    return {
      challenge: 'Negotiate',
      further: [challenge, ...further],
      reason: reason ?? result.reason ?? NOTHING_SENT,
    };
  };
  return {
    scheme: inner.scheme === 'none' ? 'negotiate' : `negotiate, ${inner.scheme}`,
    requires: (client) => (settingsOf(client) === undefined ? requiresLogin(inner, client) : 'login'),
    identify(from) {
      const { client, credentials } = from.request;
      const settings = settingsOf(client);
      if (settings === undefined) return inner.identify(from);
      const sent =
        credentials?.kind === 'authorization' && credentials.values.length === 1 ? credentials.values[0] : '';
      const match = SCHEME.exec(sent ?? '');
      if (match === null) return ask(from);
      const anonymous = { request: { ...from.request, credentials: undefined } };
      const token = match[1];
      if (token === undefined) return ask(anonymous, 'Negotiate without a token');
      return acceptor.accept(settings.keytab, Buffer.from(token, 'base64')).then((accepted) => {
        const found = userOf(accepted, settings);
        return 'reason' in found ? ask(anonymous, found.reason) : found;
      });
    },
  };
}

function userOf(accepted: AcceptedTicket, { realm }: NegotiateSettings): Principal | { readonly reason: string } {
  if ('full' in accepted) {
    throw new ProxyError('at_capacity', 'too many Kerberos tickets wait to be checked', {
      headers: [['Retry-After', '1']],
    });
  }
  if ('refused' in accepted) return { reason: accepted.refused };
  const { client } = accepted;
  if (realm === undefined) return { name: client, scheme: 'negotiate' };
  const end = `@${realm}`;
  if (!client.endsWith(end)) return { reason: 'a Kerberos ticket of another realm' };
  return { name: client.slice(0, -end.length), scheme: 'negotiate' };
}
