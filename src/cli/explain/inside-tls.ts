import { once } from 'node:events';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Authority } from '../../contracts/request.ts';
import { CLIENT_HELLO_BYTES_MAX, readClientHello } from '../../protocol/tls/client-hello.ts';
import { ExplainError } from './explain-error.ts';
import { socketMeaning } from './meaning.ts';
import type { CertificateSummary } from './steps.ts';
import type { Trace } from './trace.ts';

/** Reads what the proxy can read of the first bytes, and records it once. */
export function helloWatcher(trace: Trace): (chunk: Buffer) => void {
  let seen: Buffer | undefined = Buffer.alloc(0);
  return (chunk) => {
    if (seen === undefined) return;
    seen = Buffer.concat([seen, chunk]).subarray(0, CLIENT_HELLO_BYTES_MAX);
    const progress = readClientHello(seen);
    if (progress.at === 'more') return;
    seen = undefined;
    if (progress.at === 'hello') {
      const { at: _at, ...hello } = progress;
      trace.add({ kind: 'client-hello', ...hello });
    }
  };
}

/** TLS with the site, inside the tunnel. Throws ExplainError. */
export async function startTls(
  { distrusted, signal }: { readonly distrusted: 'stop' | 'go-on'; readonly signal: AbortSignal },
  site: Authority,
  tunnel: Duplex,
  trace: Trace,
): Promise<TLSSocket> {
  const began = trace.elapsedMs();
  const tls = connectTls({
    socket: tunnel,
    servername: isIP(site.host) ? '' : site.host,
    host: site.host,
    ALPNProtocols: ['http/1.1'],
    // Judged below by what Node found, which no variable of the environment changes, so that a certificate that is not
    // trusted can still be shown.
    rejectUnauthorized: false,
  });
  try {
    await once(tls, 'secureConnect', { signal });
  } catch (error) {
    tls.on('error', () => {}).destroy();
    if (signal.aborted) throw new ExplainError({ who: 'the site', what: 'the TLS handshake took too long' });
    throw new ExplainError({
      who: 'the site',
      what: `the TLS handshake failed: ${socketMeaning(error)}`,
      rfc: 'RFC 8446 §6',
    });
  }
  tls.on('error', () => {});
  const distrust = tls.authorized ? undefined : reasonText(tls.authorizationError);
  trace.add({
    kind: 'tls',
    protocol: (tls.getProtocol() ?? 'TLS').replace('TLSv', 'TLS '),
    cipher: tls.getCipher().standardName,
    alpn: typeof tls.alpnProtocol === 'string' ? tls.alpnProtocol : undefined,
    certificate: certificateOf(tls),
    distrust,
    tookMs: trace.elapsedMs() - began,
  });
  if (distrust !== undefined && distrusted === 'stop') {
    throw new ExplainError({
      who: 'you',
      what: `stopped here, since the certificate is not trusted (${distrust}); the proxy has no part in this`,
      advice: '-k goes on all the same; NODE_EXTRA_CA_CERTS=FILE trusts a private authority',
    });
  }
  return tls;
}

/** Why a certificate was not trusted, where an error says so. */
export const distrustOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? DISTRUST[error.code] : undefined;

function reasonText(reason: unknown): string {
  const code = reason instanceof Error ? reason.message : String(reason);
  return DISTRUST[code] ?? code;
}
/** What OpenSSL's names mean. */
const DISTRUST: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is signed by itself',
  SELF_SIGNED_CERT_IN_CHAIN: 'its authority is unknown here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its authority is unknown here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its authority is unknown here, or the site left out a certificate in between',
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'it is for another name',
};

function certificateOf(tls: TLSSocket): CertificateSummary | undefined {
  const shown = tls.getPeerCertificate();
  if (!shown.subject) return undefined;
  const until = new Date(shown.valid_to);
  return {
    subject: first(shown.subject.CN) ?? shown.subjectaltname ?? '(no name)',
    issuer: first(shown.issuer.O) ?? first(shown.issuer.CN) ?? '(no name)',
    until: Number.isNaN(until.getTime()) ? shown.valid_to : until.toISOString().slice(0, 10),
  };
}
const first = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value[0] : value);
