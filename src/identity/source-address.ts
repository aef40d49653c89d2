import type { Authenticator } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { ClientInfo } from '../core/request.ts';
import { CidrSet, knownCidr, parseIpWithZone } from '../protocol/ip-address.ts';

/** The name that the refusal carries, as a rule of the configuration would. */
const RULE = 'clients.allow';

/**
 * Refuses clients from other addresses than these, before anybody asks for a password: who may not come in shall not
 * get to guess. Clients of a Unix socket have no address, and its file mode has already let them in.
 * Blocks as `clientsSchema` has checked them. Throws `denied`.
 */
export function fromAddresses(blocks: readonly string[], inner: Authenticator): Authenticator {
  const allowed = new CidrSet(blocks.map(knownCidr));
  const mayCome = ({ address, listener }: ClientInfo): boolean => {
    if (listener.startsWith('unix:')) return true;
    const parsed = parseIpWithZone(address);
    return parsed !== undefined && allowed.has(parsed);
  };
  return {
    scheme: inner.scheme,
    identify(from) {
      if (mayCome(from.request.client)) return inner.identify(from);
      throw new ProxyError('denied', `rule ${RULE}: the client's address is not listed`, {
        told: `The rule is called "${RULE}".`,
      });
    },
  };
}
