import { createHash } from 'node:crypto';
import { OBJECT_ID, objectIdText, onlyContent, readElements, SEQUENCE, tagged } from './der.ts';

/** Signature algorithms of certificates (RFC 8017 §A.2.4, RFC 5758 §3) by the hash in them. */
const HASH_OF: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.4': 'md5',
  '1.2.840.113549.1.1.5': 'sha1',
  '1.2.840.113549.1.1.14': 'sha224',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10040.4.3': 'sha1',
  '2.16.840.1.101.3.4.3.1': 'sha224',
  '2.16.840.1.101.3.4.3.2': 'sha256',
  '1.2.840.10045.4.1': 'sha1',
  '1.2.840.10045.4.3.1': 'sha224',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  // Hashes themselves, as RSASSA-PSS names them in its parameters.
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.4': 'sha224',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};
const RSASSA_PSS = '1.2.840.113549.1.1.10';

/**
 * `tls-server-end-point` (RFC 5929 §4) for the server's certificate in DER: it binds a login to this TLS connection, so
 * that a man in the middle cannot relay it. `undefined` where the RFC defines none: the signature has no hash of its own
 * (Ed25519), or the certificate cannot be read.
 */
export function tlsServerEndPoint(certificate: Buffer): Buffer | undefined {
  const hash = signatureHash(certificate);
  if (hash === undefined) return undefined;
  // MD5 and SHA-1 are replaced (RFC 5929 §4.1).
  const strong = hash === 'md5' || hash === 'sha1' ? 'sha256' : hash;
  return Buffer.concat([Buffer.from('tls-server-end-point:'), createHash(strong).update(certificate).digest()]);
}

/** MD5 of gss_channel_bindings_struct without addresses, as MsvAvChannelBindings carries it (MS-NLMP §3.1.5.1.2). */
export function channelBindingHash(applicationData: Uint8Array): Buffer {
  // Two types and two lengths of addresses, all zero, and then the length of the data.
  const head = Buffer.alloc(20);
  head.writeUInt32LE(applicationData.length, 16);
  return createHash('md5').update(head).update(applicationData).digest();
}

/** The hash in a certificate's signatureAlgorithm (RFC 5280 §4.1.1.2), by the name node:crypto has for it. */
function signatureHash(certificate: Buffer): string | undefined {
  const body = onlyContent(certificate, SEQUENCE);
  const algorithm = body && readElements(body)?.[1];
  const [id, parameters] = (algorithm?.tag === SEQUENCE && readElements(algorithm.content)) || [];
  if (id?.tag !== OBJECT_ID) return undefined;
  const name = objectIdText(id.content);
  return name === RSASSA_PSS ? pssHash(parameters?.content) : HASH_OF[name];
}

/** `[0]` of RSASSA-PSS-params; left out it is SHA-1 (RFC 4055 §3.1). */
function pssHash(parameters: Buffer | undefined): string | undefined {
  const given = (parameters && readElements(parameters))?.find(({ tag }) => tag === tagged(0));
  if (given === undefined) return 'sha1';
  const algorithm = onlyContent(given.content, SEQUENCE);
  const id = algorithm && readElements(algorithm)?.[0];
  return id?.tag === OBJECT_ID ? HASH_OF[objectIdText(id.content)] : undefined;
}
