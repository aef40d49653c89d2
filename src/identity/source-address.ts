import { ProxyError } from '../contracts/failure.ts';
import { type Authenticator, type ClientFilter, requiresLogin } from '../contracts/identity.ts';
import { CidrSet, knownCidr, parseIpWithZone } from '../protocol/addresses/ip-address.ts';
import type { Sliced } from '../util/slices.ts';

/** Name of the rule in refusals and logs. */
const RULE = 'clients.allow';

/** URLs of Unix sockets: ours, and those of a service manager, whose path is not known. */
const UNIX = /^(?:unix:|systemd\b)/;

/**
 * Refuses clients from other addresses than these. Clients of a Unix socket have no address, but where a PROXY header
 * names one; its file mode has admitted them. Blocks as `clientsSchema` has checked them.
 */
export function* buildAddressFilter(blocks: readonly string[]): Sliced<ClientFilter> {
  const allowed = new CidrSet();
  for (const block of blocks) {
    yield;
    allowed.add(knownCidr(block));
  }
  return {
    refusal({ address, listener }) {
      if (address === '' && UNIX.test(listener)) return undefined;
      const parsed = parseIpWithZone(address);
      if (parsed !== undefined && allowed.has(parsed)) return undefined;
      return new ProxyError('denied', `rule ${RULE}: the client's address is not listed`, {
        clientDetail: `The rule is called "${RULE}".`,
      });
    },
  };
}

/**
 * Applies the filter before authentication, so that a client with another address cannot guess passwords. A connection
 * that is older than the filter was accepted without it. Throws `denied`.
 */
export const withAddressFilter = (filter: ClientFilter, inner: Authenticator): Authenticator => ({
  scheme: inner.scheme,
  requires: (client) => requiresLogin(inner, client),
  identify(from) {
    const refusal = filter.refusal(from.request.client);
    if (refusal !== undefined) throw refusal;
    return inner.identify(from);
  },
});
