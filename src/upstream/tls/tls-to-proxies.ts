import { isIP } from 'node:net';
import { type ConnectionOptions, checkServerIdentity, connect, type TLSSocket } from 'node:tls';
import { deadline } from '../../contracts/deadline.ts';
import type { SecuredConnection, SecureHop, TlsUse } from '../../contracts/dialing.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { Connection, Hop } from '../../contracts/stages.ts';
import { peerCertificate } from '../../net/peer-certificate.ts';
import { TlsTransport } from '../../net/tls-transport.ts';
import { MessageTlsWire, TlsWire } from '../../net/tls-wire.ts';
import { hostKey } from '../../protocol/addresses/authority.ts';
import { formatHop } from '../../protocol/routes/proxy-url.ts';
import type { Clock } from '../../util/clock.ts';
import type { StopSignal } from '../../util/stop.ts';
import { codeOf } from '../node-failure.ts';
import { hopSettings, TLS_RULES } from './trust.ts';

export interface TlsOptions {
  /** What to trust of a proxy, and which name to expect; as for `tls.connect`. */
  readonly settingsOf: (host: string) => ConnectionOptions;
  /** For the handshake, in milliseconds. */
  readonly connectMs: number;
  readonly clock: Clock;
}

const NOTHING = Buffer.alloc(0);

/** TLS with proxies, verified unless the settings say otherwise. TLS with the target inside is not its concern. */
export function tlsToProxies({ settingsOf, connectMs, clock }: TlsOptions): SecureHop {
  return async (connection, hop, within, use) => {
    try {
      // A TLS server speaks second.
      if (connection.early.length > 0) throw new ProxyError('tls_failed', `${formatHop(hop)} spoke before TLS began`);
      using limit = deadline(
        { signal: within.signal, clock },
        connectMs,
        'connect_timeout',
        `TLS with ${formatHop(hop)}`,
      );
      return await handshake(connection, hop, settingsFor(hop, settingsOf), limit.signal, use);
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
  use: TlsUse,
): Promise<SecuredConnection> {
  const name = hostKey(hop.proxy.host);
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    let certifiedNames: string | undefined;
    const transport = use === 'messages' ? new TlsTransport(connection.wire) : undefined;
    const below = transport ?? connection.wire.toDuplex();
    const socket = connect({
      ...TLS_RULES,
      host: name,
      // An address is no server name (RFC 6066 §3), but it is looked for in the certificate.
      ...(isIP(name) === 0 && { servername: name }),
      ALPNProtocols: use === 'streams' ? ['h2', 'http/1.1'] : ['http/1.1'],
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
    const onSecure = () => {
      const pinned = hop.tls?.fingerprint;
      const shown = pinned === undefined ? undefined : peerCertificate(socket)?.fingerprint256;
      if (pinned !== shown?.replaceAll(':', '').toLowerCase()) return fail(wrongFingerprint(hop, shown));
      finish(() => resolve(secured(socket, connection, transport)));
    };
    const onError = (cause: Error) => fail(handshakeFailure(cause, hop, isRejected(socket), certifiedNames));
    // Over a socket that had been closed before, TLS reports no other error.
    const onClose = () => onError(below.errored ?? new Error('the connection was closed'));
    const onAbort = () => fail(signal.reason);
    socket.on('secureConnect', onSecure).on('error', onError).on('close', onClose);
    signal.addEventListener('abort', onAbort);
  });
}

/** The settings of the configuration, and what the hook that has named this hop wants otherwise. */
function settingsFor(hop: Hop, settingsOf: TlsOptions['settingsOf']): ConnectionOptions {
  const settings = settingsOf(hop.proxy.host);
  return hop.tls === undefined ? settings : { ...settings, ...hopSettings(hop.tls) };
}

const wrongFingerprint = (hop: Hop, shown: string | undefined): ProxyError =>
  new ProxyError(
    'certificate_rejected',
    `the certificate of ${formatHop(hop)} is not the pinned one: its SHA-256 is ${shown ?? 'unknown'}`,
    { clientDetail: `The certificate of ${formatHop(hop)} is not the expected one.` },
  );

const secured = (
  socket: TLSSocket,
  connection: Connection,
  transport: TlsTransport | undefined,
): SecuredConnection => ({
  speaks: socket.alpnProtocol === 'h2' ? 'h2' : 'http/1.1',
  wire:
    transport === undefined
      ? new TlsWire(socket, connection.wire)
      : new MessageTlsWire(socket, connection.wire, transport),
  early: NOTHING,
  address: connection.address,
  [Symbol.dispose]() {
    socket.destroy();
    connection[Symbol.dispose]();
  },
});

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
      clientDetail: `If ${proxy} does not use TLS on that port, write its URL with http://.`,
    });
  }
  const [what, mend] = CHECKS[code] ?? ['was not accepted', 'nothing'];
  const names = certifiedNames === undefined ? '' : `, it names ${certifiedNames}`;
  const hint = { ca: 'ca: FILE', serverName: 'serverName: NAME', nothing: '' }[mend];
  const help = hint === '' ? '' : `; to trust it, write upstreams: [{ host: "${hop.proxy.host}", ${hint} }]`;
  return new ProxyError('certificate_rejected', `the certificate of ${proxy} ${what} (${code}${names})${help}`, {
    cause,
    clientDetail: `The certificate of ${proxy} ${what}.`,
  });
}
