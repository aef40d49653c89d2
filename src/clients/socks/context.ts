import type { ClientContext } from '../client-protocol.ts';
import type { EndedClients } from '../ended-clients.ts';

/** What the SOCKS connections of all listeners share. */
export interface SocksContext extends ClientContext {
  readonly ended: EndedClients;
}
