import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { type ConnectionOptions, createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { HostIndex, hostQuery } from '../protocol/host-index.ts';
import { codeOf } from './node-failure.ts';
import type { UpstreamOptions, UpstreamsOptions } from './options.ts';

/** Thousands of certificates; a mistaken path to a disk image must not be read into memory. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

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
    return entry?.() ?? { secureContext: machineContext() };
  };
}

function settingsOf({ ca, serverName }: UpstreamOptions, at: number): () => ConnectionOptions {
  const extra = ca === undefined ? undefined : readCa(ca, at);
  const name: ConnectionOptions = serverName === undefined ? {} : { servername: serverName };
  // Built when it is first needed: 20 ms of the event loop, for all the certificates that a machine trusts.
  const context = extra === undefined ? machineContext : once(() => contextWith(extra));
  return () => ({ secureContext: context(), ...name });
}

/** The certificates of a PEM file, each checked, so that a wrong file is known before anybody connects. */
function readCa(file: string, at: number): readonly string[] {
  const tooLarge = new TrustError(`${file}: is larger than 16 MiB: no file of certificates`, at);
  let text: string;
  try {
    if (statSync(file).size > FILE_BYTES_MAX) throw tooLarge;
    text = readFileSync(file, 'latin1');
  } catch (error) {
    if (error === tooLarge) throw error;
    throw new TrustError(`${file}: cannot be read: ${codeOf(error) || error}`, at);
  }
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (certificates.length === 0) {
    throw new TrustError(
      `${file}: holds no certificate; it wants PEM, which begins with -----BEGIN CERTIFICATE-----`,
      at,
    );
  }
  for (const [number, certificate] of certificates.entries()) {
    try {
      new X509Certificate(certificate);
    } catch {
      throw new TrustError(`${file}: certificate ${number + 1} is damaged`, at);
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
  createSecureContext({ ca: [...machineRoots(), ...extra], allowPartialTrustChain: true });

const machineContext: () => SecureContext = once(() => contextWith([]));

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
