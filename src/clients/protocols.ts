import { anyProtocol } from './any/protocol.ts';
import type { ClientProtocol } from './client-protocol.ts';
import type { Http1Context } from './http1/context.ts';
import { http1Protocol } from './http1/protocol.ts';
import { priorKnowledge } from './http2/prior-knowledge.ts';
import { http2Protocol } from './http2/protocol.ts';
import type { LISTEN_PROTOCOLS, Listen } from './options.ts';
import type { SocksContext } from './socks/context.ts';
import { socksProtocol } from './socks/protocol.ts';
import { tlsProtocol } from './tls/protocol.ts';

/** What the connections of each protocol share. Another protocol adds its own context. */
export type ProtocolsContext = Http1Context & SocksContext;

/** What serves the clients of a listener. A protocol that carries others asks for them with another `protocol` in the listener. */
export type ProtocolOf = (listen: Listen) => ClientProtocol;

type CreateProtocol = (context: ProtocolsContext, listen: Listen, protocolOf: ProtocolOf) => ClientProtocol;

/** What serves a listener, by the scheme of its URL. Another protocol is a folder, its scheme in `options.ts` and a line here. */
const PROTOCOLS: Readonly<Record<(typeof LISTEN_PROTOCOLS)[number], CreateProtocol>> = {
  http: (context, { settings }) => {
    const http1 = http1Protocol(context);
    return settings?.h2c ? priorKnowledge(context, { http1, http2: http2Protocol(context) }) : http1;
  },
  // Inside TLS, ALPN says which of the two it is.
  https: (context, listen) =>
    tlsProtocol(context, listen, { http1: http1Protocol(context), http2: http2Protocol(context) }),
  socks5: socksProtocol,
  any: (context, listen, protocolOf) =>
    anyProtocol(context, {
      http: protocolOf({ ...listen, protocol: 'http' }),
      socks: protocolOf({ ...listen, protocol: 'socks5' }),
      tls: listen.settings?.tls && protocolOf({ ...listen, protocol: 'https' }),
    }),
};

/** Made anew for each listener, and again when a reload changes the settings of one. */
export function clientProtocols(context: ProtocolsContext): ProtocolOf {
  const protocols = new Map<string, CreateProtocol>(Object.entries(PROTOCOLS));
  const protocolOf: ProtocolOf = (listen) => {
    const create = protocols.get(listen.protocol);
    if (create === undefined) throw new Error(`no listener speaks ${listen.protocol}`);
    return create(context, listen, protocolOf);
  };
  return protocolOf;
}
