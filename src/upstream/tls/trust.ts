import { constants, X509Certificate } from 'node:crypto';
import {
  type ConnectionOptions,
  createSecureContext,
  getCACertificates,
  type SecureContext,
  type SecureContextOptions,
} from 'node:tls';
import { ProxyError } from '../../contracts/failure.ts';
import type { HopTls } from '../../contracts/outbound.ts';
import { decodeText } from '../../files/decode-text.ts';
import { FileError } from '../../files/file-terms.ts';
import { readFileBounded } from '../../files/read-file.ts';
import { HostIndex, hostQuery } from '../../protocol/matching/host-index.ts';
import { redact } from '../../util/redact.ts';
import type { UpstreamOptions, UpstreamsOptions } from '../options.ts';

/** Thousands of certificates; a mistaken path to a disk image must not be read into memory. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

/**
 * What every TLS connection with a proxy or a PAC server holds to, however this process was started. Node takes
 * the defaults of these from its surroundings: NODE_TLS_REJECT_UNAUTHORIZED=0 accepts any certificate, --tls-min-v1.0
 * allows TLS 1.0 (deprecated by RFC 8996), --tls-cipher-list allows ciphers without encryption, and a configuration of
 * OpenSSL with SECLEVEL=0 allows keys and signatures that can be forged. Passwords go over these connections, and a
 * verified PAC may name who gets them. Authorities that are added (NODE_EXTRA_CA_CERTS,
 * SSL_CERT_FILE, the system's store) are trusted: that is how a company installs its own.
 */
export const TLS_RULES = {
  rejectUnauthorized: true,
  minVersion: 'TLSv1.2',
  get ciphers() {
    return `${constants.defaultCoreCipherList}:@SECLEVEL=2`;
  },
} as const satisfies ConnectionOptions;

/** A `ca` file that cannot be used; `at` counts the entries of `upstreams`. The message is one line. */
export class TrustError extends Error {
  override readonly name = 'TrustError';
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/** How to speak TLS with a proxy, by its host. */
export type TlsSettings = (host: string) => ConnectionOptions;

/**
 * Reads the files of all entries: proxies are then trusted by what this machine trusts and by the file of the first
 * entry that matches. Throws TrustError.
 */
export function tlsSettings(upstreams: UpstreamsOptions): TlsSettings {
  const index = new HostIndex();
  const entries = upstreams.map((entry, at) => {
    index.add(entry.host, at, 'written');
    return settingsOf(entry, at);
  });
  return (host) => {
    const [first] = index
      .find(hostQuery(host))
      .flat()
      .sort((a, b) => a - b);
    const entry = first === undefined ? undefined : entries[first];
    return entry?.() ?? { ...TLS_RULES, secureContext: machineContext() };
  };
}

function settingsOf({ ca, serverName, http2 }: UpstreamOptions, at: number): () => ConnectionOptions {
  const extra = ca === undefined ? undefined : readCa(ca, at);
  const name: ConnectionOptions = serverName === undefined ? {} : { servername: serverName };
  // Built when it is first needed: 20 ms of the event loop, for all the certificates that a machine trusts.
  const context = extra === undefined ? machineContext : once(() => contextWith(extra));
  const alpn: ConnectionOptions = http2 === false ? { ALPNProtocols: ['http/1.1'] } : {};
  return () => ({ ...TLS_RULES, secureContext: context(), ...name, ...alpn });
}

const contexts = new WeakMap<HopTls, SecureContext>();

/** What a program wants of TLS with one proxy. */
export function hopSettings(tls: HopTls): ConnectionOptions {
  const { ca, cert, key, passphrase, servername, fingerprint, rejectUnauthorized = true } = tls;
  let context = contexts.get(tls);
  if (context === undefined && (ca !== undefined || cert !== undefined)) {
    context = contextOf({ ca: [...machineRoots(), ...(ca ?? [])], cert, key, passphrase });
    contexts.set(tls, context);
  }
  return {
    ...(context !== undefined && { secureContext: context }),
    ...(servername !== undefined && { servername }),
    // A pinned certificate is compared as a whole, and no authority is asked.
    rejectUnauthorized: rejectUnauthorized && fingerprint === undefined,
  };
}

/** Throws `no_route` for what a program has written: a key that is of another certificate, or that its passphrase does not open. */
function contextOf(options: SecureContextOptions): SecureContext {
  try {
    return createSecureContext({ ...TLS_RULES, allowPartialTrustChain: true, ...options });
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'OpenSSL cannot read it';
    throw new ProxyError('no_route', `the route hook's result: tls: ${why}`, { cause });
  }
}

/** The certificates of a PEM file, each checked, so that a wrong file is known before the first connection. */
function readCa(file: string, at: number): readonly string[] {
  let text: string;
  try {
    text = decodeText(readFileBounded(file, { bytesMax: FILE_BYTES_MAX, pipes: 'refuse' })).text;
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    if (error.code === 'EFBIG')
      throw new TrustError(`${redact(file)}: is larger than 16 MiB, too large for a file of certificates`, at);
    throw new TrustError(`${redact(file)}: cannot be read: ${error.code || error.why}`, at);
  }
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (certificates.length === 0) {
    throw new TrustError(
      `${redact(file)}: holds no certificate; it wants PEM, which begins with -----BEGIN CERTIFICATE-----`,
      at,
    );
  }
  for (const [number, certificate] of certificates.entries()) {
    try {
      new X509Certificate(certificate);
    } catch {
      throw new TrustError(`${redact(file)}: certificate ${number + 1} is damaged`, at);
    }
  }
  return certificates;
}

/** Node's own roots and those of the system, where companies put theirs. */
export const machineRoots: () => readonly string[] = once(() => [
  ...new Set([...getCACertificates('default'), ...getCACertificates('system')]),
]);

// One that is trusted is trusted as it is: companies hand out intermediate certificates, and proxies show bare ones.
const contextWith = (extra: readonly string[]): SecureContext =>
  createSecureContext({ ...TLS_RULES, ca: [...machineRoots(), ...extra], allowPartialTrustChain: true });

const machineContext: () => SecureContext = once(() => contextWith([]));

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
