import { ProxyError } from '../../contracts/failure.ts';
import type { ClientInfo } from '../../contracts/request.ts';
import { CidrSet, knownCidr, parseIpWithZone } from '../../protocol/addresses/ip-address.ts';
import { parseProxyHeader } from '../../protocol/proxy-header/proxy-header.ts';
import type { ClientContext, ClientProtocol } from '../client-protocol.ts';
import { FirstBytesConnection, type FirstBytesReader } from '../first-bytes.ts';
import { UNIX_PEERS } from '../options.ts';

/** The peers that must send a PROXY header. */
export class ProxyHeaderPeers {
  readonly #blocks = new CidrSet();
  readonly #hasUnix: boolean;

  /** As the settings have checked them. */
  constructor(peers: readonly string[]) {
    this.#hasUnix = peers.includes(UNIX_PEERS);
    for (const peer of peers) if (peer !== UNIX_PEERS) this.#blocks.add(knownCidr(peer));
  }

  /** `address` is empty for a peer of a Unix socket. */
  has(address: string): boolean {
    if (address === '') return this.#hasUnix;
    const parsed = parseIpWithZone(address);
    return parsed !== undefined && this.#blocks.has(parsed);
  }
}

/** The PROXY protocol in front of another one: the address that its header names is the client's from then on. */
export function behindProxyHeader(inner: ClientProtocol, context: ClientContext): ClientProtocol {
  const reader: FirstBytesReader = {
    protocol: inner.protocol,
    rejectedBy: inner,
    read(bytes, client) {
      const progress = parseProxyHeader(bytes);
      switch (progress.at) {
        case 'more':
          return undefined;
        case 'malformed':
          return {
            at: 'refused',
            error: new ProxyError('bad_request', `${progress.why} from a peer that must send one`),
          };
        case 'header': {
          const named: ClientInfo =
            progress.client === undefined ? client : { ...client, ...progress.client, isNamedByHeader: true };
          return { at: 'serve', protocol: inner, early: bytes.subarray(progress.length), client: named };
        }
      }
    },
  };
  return {
    protocol: inner.protocol,
    serve: (accepted) => new FirstBytesConnection(accepted, reader, context),
    reject: (why, id) => inner.reject(why, id),
    [Symbol.dispose]: () => inner[Symbol.dispose]?.(),
  };
}
