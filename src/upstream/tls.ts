import { isIP } from 'node:net';
import { type ConnectionOptions, checkServerIdentity, connect, type TLSSocket } from 'node:tls';
import type { DialScope } from '../core/contracts.ts';
import { deadline } from '../core/deadline.ts';
import { ProxyError } from '../core/failure.ts';
import type { Wire } from '../core/source.ts';
import type { Connection, Hop } from '../core/stages.ts';
import type { StopSignal } from '../core/stop.ts';
import { StreamWire } from '../core/wire.ts';
import { hostKey } from '../protocol/authority.ts';
import { formatHop } from '../protocol/proxy-url.ts';
import { codeOf } from './node-failure.ts';

/** Makes TLS of a connection to a proxy. Owns the connection: disposes it when the handshake fails. */
export type SecureHop = (connection: Connection, hop: Hop, within: DialScope) => Promise<Connection>;

export interface TlsOptions {
  /** What to trust of a proxy, and which name to expect; as for `tls.connect`. */
  readonly settingsOf: (host: string) => ConnectionOptions;
  /** For the handshake, in milliseconds. */
  readonly connectMs: number;
}

const NOTHING = Buffer.alloc(0);

/** TLS with proxies, verified unless the settings say otherwise. It knows nothing of TLS with the target inside. */
export function tlsToProxies({ settingsOf, connectMs }: TlsOptions): SecureHop {
  return async (connection, hop, within) => {
    try {
      // A TLS server speaks second.
      if (connection.early.length > 0) throw new ProxyError('tls_failed', `${formatHop(hop)} spoke before TLS began`);
      using limit = deadline(within.signal, connectMs, 'connect_timeout', `TLS with ${formatHop(hop)}`);
      return await handshake(connection, hop, settingsOf(hop.proxy.host), limit.signal);
    } catch (error) {
      connection[Symbol.dispose]();
      throw error;
    }
  };
}

function handshake(
  connection: Connection,
  hop: Hop,
  settings: ConnectionOptions,
  signal: StopSignal,
): Promise<Connection> {
  const name = hostKey(hop.proxy.host);
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    let certifiedNames: string | undefined;
    const below = connection.wire.toDuplex();
    const socket = connect({
      host: name,
      // An address is no server name (RFC 6066 §3), but it is looked for in the certificate.
      ...(isIP(name) === 0 && { servername: name }),
      ALPNProtocols: ['http/1.1'],
      checkServerIdentity(expected, certificate) {
        certifiedNames = certificate.subjectaltname;
        return checkServerIdentity(expected, certificate);
      },
      ...settings,
      socket: below,
    });
    const finish = (settle: () => void) => {
      socket.off('secureConnect', onSecure).off('error', onError).off('close', onClose);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const fail = (error: unknown) => {
      finish(() => reject(error));
      // It may fail once more while it closes.
      socket.on('error', () => undefined).destroy();
    };
    const onSecure = () => finish(() => resolve(secured(socket, connection)));
    const onError = (cause: Error) => fail(handshakeFailure(cause, hop, isRejected(socket), certifiedNames));
    // Over a socket that had been closed before, TLS says no more than that.
    const onClose = () => onError(below.errored ?? new Error('the connection was closed'));
    const onAbort = () => fail(signal.reason);
    socket.on('secureConnect', onSecure).on('error', onError).on('close', onClose);
    signal.addEventListener('abort', onAbort);
  });
}

const secured = (socket: TLSSocket, connection: Connection): Connection => ({
  wire: new TlsWire(socket, connection.wire),
  early: NOTHING,
  address: connection.address,
  [Symbol.dispose]() {
    socket.destroy();
    connection[Symbol.dispose]();
  },
});

/** TLS has no reset of its own (an alert would be an orderly end): the transport below is reset. */
class TlsWire extends StreamWire {
  readonly #below: Wire;

  constructor(socket: TLSSocket, below: Wire) {
    super(socket);
    this.#below = below;
  }

  override reset(): void {
    const { writableEnded, writableFinished } = this.stream;
    // While the FIN below is on its way libuv refuses to reset: the socket would never close, and the process not end.
    if (writableEnded && !writableFinished) this.stream.destroy();
    else this.#below.reset();
  }
}

/** Node notes why a certificate was not accepted, and only then. */
const isRejected = ({ authorizationError }: TLSSocket): boolean => Boolean(authorizationError);

/** Checks that fail in practice, as OpenSSL and Node call them, and what the user can do about them. */
const CHECKS: Readonly<Record<string, readonly [what: string, mend: 'ca' | 'serverName' | 'nothing']>> = {
  ERR_TLS_CERT_ALTNAME_INVALID: ['is for another name', 'serverName'],
  CERT_HAS_EXPIRED: ['has expired', 'nothing'],
  CERT_NOT_YET_VALID: ['is not valid yet', 'nothing'],
  CERT_REVOKED: ['was revoked', 'nothing'],
  DEPTH_ZERO_SELF_SIGNED_CERT: ['is signed by itself alone', 'ca'],
  SELF_SIGNED_CERT_IN_CHAIN: ['comes from an authority that is not trusted here', 'ca'],
  UNABLE_TO_GET_ISSUER_CERT: ['comes from an authority that is not trusted here', 'ca'],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ['comes from an authority that is not trusted here', 'ca'],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ['comes from an authority that is not trusted here', 'ca'],
};

function handshakeFailure(
  cause: Error,
  hop: Hop,
  isCertificate: boolean,
  certifiedNames: string | undefined,
): ProxyError {
  const code = codeOf(cause);
  const proxy = formatHop(hop);
  if (!isCertificate) {
    return new ProxyError('tls_failed', `TLS with ${proxy}: ${code || cause.message}`, {
      cause,
      told: `If ${proxy} speaks no TLS on that port, its URL begins with http://.`,
    });
  }
  const [what, mend] = CHECKS[code] ?? ['was not accepted', 'nothing'];
  const names = certifiedNames === undefined ? '' : `, it names ${certifiedNames}`;
  const hint = { ca: 'ca: FILE', serverName: 'serverName: NAME', nothing: '' }[mend];
  const help = hint === '' ? '' : `; to trust it, write upstreams: [{ host: "${hop.proxy.host}", ${hint} }]`;
  return new ProxyError('certificate_rejected', `the certificate of ${proxy} ${what} (${code}${names})${help}`, {
    cause,
    told: `The certificate of ${proxy} ${what}.`,
  });
}
