import { createCipheriv, createHmac } from 'node:crypto';

/** Alerts of RFC 8446 §6 that refuse a client. */
export const ALERTS = {
  handshake_failure: 40,
  bad_certificate: 42,
  unsupported_certificate: 43,
  certificate_revoked: 44,
  certificate_expired: 45,
  certificate_unknown: 46,
  unknown_ca: 48,
  access_denied: 49,
  decrypt_error: 51,
  internal_error: 80,
  certificate_required: 116,
} as const;
export type Alert = keyof typeof ALERTS;

const ALERT = 21;
const APPLICATION_DATA = 23;
const FATAL = 2;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Where nothing is encrypted yet: in front of a handshake, or in TLS 1.2 in front of this side's ChangeCipherSpec. */
export const plainAlert = (alert: Alert): Buffer => Buffer.from([ALERT, 3, 3, 0, 2, FATAL, ALERTS[alert]]);

/** What a handshake of TLS 1.3 has agreed on. */
export interface SessionSecrets {
  /** By the name of RFC 8446: `TLS_AES_128_GCM_SHA256`. */
  readonly cipher: string;
  /** SERVER_TRAFFIC_SECRET_0 of the key log. */
  readonly secret: Buffer;
}

/**
 * A fatal alert as the first record behind a handshake that has just ended (RFC 8446 §5.2). Node takes every client
 * certificate and reports afterwards what is wrong with it, and then can only close the connection: the client would not
 * learn why. So the record is made here, from the secret that Node reports; it must leave before the session tickets,
 * which Node writes when `secureConnection` has been handled. `undefined`: of a suite that is not known here.
 */
export function encryptedAlert(alert: Alert, { cipher, secret }: SessionSecrets): Buffer | undefined {
  const suite = SUITES.get(cipher);
  if (suite === undefined) return undefined;
  const key = expandLabel(suite.hash, secret, 'key', suite.keyBytes);
  // RFC 8446 §5.3: of the record with the number 0.
  const nonce = expandLabel(suite.hash, secret, 'iv', NONCE_BYTES);
  const content = Buffer.from([FATAL, ALERTS[alert], ALERT]);
  const head = Buffer.from([APPLICATION_DATA, 3, 3, 0, content.length + TAG_BYTES]);
  // The name is of one of two kinds for the types, with the same options.
  const options = { authTagLength: TAG_BYTES };
  const sealing =
    suite.aead === 'chacha20-poly1305'
      ? createCipheriv(suite.aead, key, nonce, options)
      : createCipheriv(suite.aead, key, nonce, options);
  sealing.setAAD(head, { plaintextLength: content.length });
  return Buffer.concat([head, sealing.update(content), sealing.final(), sealing.getAuthTag()]);
}

type Hash = 'sha256' | 'sha384';

interface Suite {
  readonly aead: 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305';
  readonly keyBytes: number;
  readonly hash: Hash;
}

const SUITES: ReadonlyMap<string, Suite> = new Map([
  ['TLS_AES_128_GCM_SHA256', { aead: 'aes-128-gcm', keyBytes: 16, hash: 'sha256' }],
  ['TLS_AES_256_GCM_SHA384', { aead: 'aes-256-gcm', keyBytes: 32, hash: 'sha384' }],
  ['TLS_CHACHA20_POLY1305_SHA256', { aead: 'chacha20-poly1305', keyBytes: 32, hash: 'sha256' }],
]);

/** HKDF-Expand-Label of RFC 8446 §7.1; what is wanted is never longer than one block of the hash. */
function expandLabel(hash: Hash, secret: Buffer, label: string, bytes: number): Buffer {
  const full = Buffer.from(`tls13 ${label}`, 'latin1');
  const info = Buffer.concat([Buffer.from([0, bytes, full.length]), full, Buffer.from([0, 1])]);
  return createHmac(hash, secret).update(info).digest().subarray(0, bytes);
}
