import { FAILURES } from '../../contracts/failure.ts';
import { SOCKS5_METHODS } from '../../protocol/socks/socks5.ts';
import { socks5Choice } from '../../protocol/socks/socks5-server.ts';
import type { ClientProtocol } from '../client-protocol.ts';
import { SocksConnection } from './connection.ts';
import type { SocksContext } from './context.ts';

/** SOCKS5 (RFC 1928 and 1929), SOCKS4 and 4A; the first byte of a client says which. */
export const socksProtocol = (context: SocksContext): ClientProtocol => ({
  protocol: 'socks5',
  serve: (accepted) => new SocksConnection(accepted, context),
  // Before its greeting nothing can be said to a client of SOCKS but that no method will do.
  reject: (why) => ({
    bytes: socks5Choice(SOCKS5_METHODS.refused),
    sent: { status: FAILURES[why.code].status, headers: [] },
  }),
});
