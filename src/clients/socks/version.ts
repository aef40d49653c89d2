import { FAILURES, type ProxyError } from '../../contracts/failure.ts';
import type { RequestProtocol } from '../../contracts/request.ts';
import { SOCKS4_GRANTED, SOCKS4_REFUSED } from '../../protocol/socks/socks4.ts';
import { socks4Reply } from '../../protocol/socks/socks4-server.ts';
import { socks5Reply } from '../../protocol/socks/socks5-server.ts';

/** How one version of SOCKS answers a request. */
export interface SocksVersion {
  readonly protocol: RequestProtocol;
  readonly granted: Buffer;
  refusal(error: ProxyError): Buffer;
}

export const SOCKS5: SocksVersion = {
  protocol: 'socks5',
  granted: socks5Reply(0),
  refusal: (error) => socks5Reply(FAILURES[error.code].socks5),
};

/** Its one code for all that cannot be; 92 and 93 are about ident daemons. */
export const SOCKS4: SocksVersion = {
  protocol: 'socks4',
  granted: socks4Reply(SOCKS4_GRANTED),
  refusal: () => socks4Reply(SOCKS4_REFUSED),
};
