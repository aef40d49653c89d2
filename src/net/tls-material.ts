import { constants, createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { CertificateFiles, ListenTls } from '../clients/options.ts';
import { decodeText } from '../files/decode-text.ts';
import { FileError } from '../files/file-terms.ts';
import { readFileBounded } from '../files/read-file.ts';
import { certificateNames } from '../protocol/tls/certificate-names.ts';
import { redact } from '../util/redact.ts';

/** Large revocation lists have a hundred thousand entries; a mistaken path to a disk image must not be read into memory. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

/**
 * What clients may use, however this process was started (docs/decisions/022-tls-rules.md): forward secrecy and
 * authenticated encryption alone, the recommendation of RFC 9325 §4.2. Every client since 2014 has some of them.
 */
const RULES = {
  minVersion: 'TLSv1.2',
  ciphers: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
    '@SECLEVEL=2',
  ].join(':'),
  ecdhCurve: 'X25519:P-256:P-384',
  // A client that asks for one handshake after another makes this side do most of the work (CVE-2011-1473).
  // When it is asked for: most proxies have no TLS, and node:crypto takes a tenth of a start to load.
  get secureOptions() {
    return constants.SSL_OP_NO_RENEGOTIATION;
  },
} as const satisfies SecureContextOptions;

/** A file of a TLS listener that cannot be used; `path`: the setting in `tls`. The message is one line. */
export class TlsMaterialError extends Error {
  override readonly name = 'TlsMaterialError';
  readonly path: readonly (string | number)[];

  constructor(path: readonly (string | number)[], message: string) {
    super(message);
    this.path = path;
  }
}

/** All that a TLS listener shows and trusts, read from its files. */
export interface TlsMaterial {
  /** For clients that ask for no name, or for an unknown one. */
  readonly options: SecureContextOptions;
  /** By the names of further certificates, which may begin with `*.`. */
  readonly byName: readonly { readonly name: string; readonly context: SecureContext }[];
}

/** The files that it is read from. */
export const filesOfTls = ({ cert, key, certificates = [], clientCa, clientCrl }: ListenTls): readonly string[] =>
  [cert, key, ...certificates.flatMap((one) => [one.cert, one.key]), clientCa, clientCrl].filter(
    (file) => file !== undefined,
  );

/**
 * Reads the files. The keys of session tickets are new each time: a session that began under earlier authorities or
 * revocation lists is not resumed, and its client is checked again. Throws TlsMaterialError.
 */
export function readTlsMaterial(tls: ListenTls): TlsMaterial {
  const trust: SecureContextOptions = {
    ...RULES,
    sessionIdContext: randomBytes(16).toString('hex'),
    ...(tls.clientCa !== undefined && { ca: readAuthorities(tls.clientCa) }),
    ...(tls.clientCrl !== undefined && { crl: readRevocations(tls.clientCrl) }),
  };
  const options = { ...trust, ...readPair(tls, []) };
  checked([], () => createSecureContext(options));
  const byName = (tls.certificates ?? []).flatMap((files, at) => {
    const path = ['certificates', at];
    const pair = readPair(files, path);
    const context = checked(path, () => createSecureContext({ ...trust, ...pair }));
    return namesOf(pair.cert, path).map((name) => ({ name, context }));
  });
  return { options, byName };
}

interface Pair {
  readonly cert: string;
  readonly key: string;
}

function readPair(files: CertificateFiles, path: TlsMaterialError['path']): Pair {
  const cert = readPem(files.cert, [...path, 'cert']);
  const key = readPem(files.key, [...path, 'key']);
  const certificate = inPem(cert, files.cert, [...path, 'cert']);
  let isOfCertificate: boolean;
  try {
    isOfCertificate = certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    throw new TlsMaterialError([...path, 'key'], `${redact(files.key)} has no private key in PEM without a passphrase`);
  }
  if (!isOfCertificate) {
    throw new TlsMaterialError(
      [...path, 'key'],
      `${redact(files.key)} is not the key of the first certificate in ${redact(files.cert)}`,
    );
  }
  return { cert, key };
}

function inPem(text: string, file: string, path: TlsMaterialError['path']): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch {
    throw new TlsMaterialError(path, `${redact(file)} has no certificate in PEM`);
  }
}

function readAuthorities(file: string): string {
  const text = readPem(file, ['clientCa']);
  for (const block of blocksOf(text, 'CERTIFICATE')) inPem(block, file, ['clientCa']);
  if (blocksOf(text, 'CERTIFICATE').length > 0) return text;
  throw new TlsMaterialError(['clientCa'], `${redact(file)} has no certificate in PEM`);
}

function readRevocations(file: string): string[] {
  const lists = blocksOf(readPem(file, ['clientCrl']), 'X509 CRL');
  if (lists.length === 0) throw new TlsMaterialError(['clientCrl'], `${redact(file)} has no revocation list in PEM`);
  checked(['clientCrl'], () => createSecureContext({ crl: lists }));
  return lists;
}

/** Node reads one revocation list of a text, and a file may have one for each authority. */
const blocksOf = (text: string, label: string): string[] =>
  text.match(new RegExp(`-----BEGIN ${label}-----[^-]*-----END ${label}-----`, 'g')) ?? [];

function namesOf(cert: string, path: TlsMaterialError['path']): readonly string[] {
  const names = certificateNames(new X509Certificate(cert).raw);
  if (names !== undefined && names.dns.length > 0) return names.dns;
  if (names !== undefined && names.common.length > 0) return names.common;
  throw new TlsMaterialError([...path, 'cert'], 'the certificate has no DNS name: no client could ask for it');
}

function checked<T>(path: TlsMaterialError['path'], create: () => T): T {
  try {
    return create();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new TlsMaterialError(path, `OpenSSL does not accept it: ${why}`);
  }
}

function readPem(file: string, path: TlsMaterialError['path']): string {
  // The message must not repeat what may be a private key.
  if (/^\s*-----BEGIN /.test(file))
    throw new TlsMaterialError(path, 'holds PEM itself; write the path of a file that has it');
  try {
    return decodeText(readFileBounded(file, { bytesMax: FILE_BYTES_MAX, pipes: 'refuse' })).text;
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    throw new TlsMaterialError(path, `${redact(file)} cannot be read: ${error.why}`);
  }
}
