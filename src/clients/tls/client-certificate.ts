import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { certificateNames } from '../../protocol/tls/certificate-names.ts';
import type { CertificateUser, ListenTls } from '../options.ts';
import type { Alert } from './alert.ts';

/** What the certificate of a client says, or why it is not accepted. */
export type CertificateVerdict =
  | { readonly at: 'accepted'; readonly user: string | undefined }
  | { readonly at: 'refused'; readonly alert: Alert; readonly detail: string };

/** The alerts for what OpenSSL finds, as OpenSSL itself chooses them. All else is `certificate_unknown`. */
const ALERT_OF: Readonly<Record<string, Alert>> = {
  CERT_HAS_EXPIRED: 'certificate_expired',
  CRL_HAS_EXPIRED: 'certificate_expired',
  CERT_NOT_YET_VALID: 'bad_certificate',
  CERT_REVOKED: 'certificate_revoked',
  CERT_REJECTED: 'bad_certificate',
  CERT_SIGNATURE_FAILURE: 'decrypt_error',
  INVALID_PURPOSE: 'unsupported_certificate',
  INVALID_CA: 'unknown_ca',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'unknown_ca',
  SELF_SIGNED_CERT_IN_CHAIN: 'unknown_ca',
  UNABLE_TO_GET_CRL: 'unknown_ca',
  UNABLE_TO_GET_ISSUER_CERT: 'unknown_ca',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'unknown_ca',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'unknown_ca',
};

/** Longer names are in no list of users (identity/lengths.ts). */
const NAME_CHARACTERS_MAX = 255;

/** Judges a client whose handshake has just ended, also one that goes on with an earlier session. `nowMs`: of the wall. */
export function judgeClientCertificate(socket: TLSSocket, tls: ListenTls, nowMs: number): CertificateVerdict {
  if (tls.clientCa === undefined) return ANONYMOUS;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) {
    if (tls.clientCert === 'optional') return ANONYMOUS;
    const alert = socket.getProtocol() === 'TLSv1.3' ? 'certificate_required' : 'handshake_failure';
    return { at: 'refused', alert, detail: 'the client has sent no certificate' };
  }
  if (!socket.authorized) {
    const code = String(socket.authorizationError ?? 'unknown');
    return { at: 'refused', alert: ALERT_OF[code] ?? 'certificate_unknown', detail: `the certificate: ${code}` };
  }
  // A resumed session keeps the result of its first handshake, which may be hours old.
  if (Date.parse(certificate.validTo) <= nowMs)
    return { at: 'refused', alert: 'certificate_expired', detail: 'the certificate has expired since' };
  const wanted = tls.user ?? 'cn';
  const [user, ...more] = new Set(usersIn(certificate, wanted));
  if (user === undefined || more.length > 0 || user.length > NAME_CHARACTERS_MAX) {
    const found = user === undefined ? 'no' : more.length > 0 ? 'more than one' : 'too long a';
    return { at: 'refused', alert: 'bad_certificate', detail: `the certificate has ${found} ${WORDS[wanted]}` };
  }
  return { at: 'accepted', user };
}

const ANONYMOUS: CertificateVerdict = { at: 'accepted', user: undefined };

const WORDS: Readonly<Record<CertificateUser, string>> = {
  cn: 'common name',
  email: 'e-mail address',
  dns: 'DNS name',
  fingerprint: 'fingerprint',
};

function usersIn(certificate: X509Certificate, wanted: CertificateUser): readonly string[] {
  if (wanted === 'fingerprint') return [certificate.fingerprint256.replaceAll(':', '').toLowerCase()];
  const names = certificateNames(certificate.raw);
  if (names === undefined) return [];
  return { cn: names.common, email: names.emails, dns: names.dns }[wanted];
}
