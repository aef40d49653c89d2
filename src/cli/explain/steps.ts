import type { ClientHello } from '../../protocol/tls/client-hello.ts';
import type { DecodedToken } from './tokens.ts';

/** Sender and recipient: client to proxy, proxy to client, proxy to upstream, upstream to proxy. */
export type Mark = '>' | '<' | '>>' | '<<';

/**
 * What a head is for: `connect` asks for a tunnel, `request` for a resource; each has its response.
 * `interim` is a 1xx before the response.
 */
export type HeadRole = 'connect' | 'connect-response' | 'request' | 'response' | 'interim';

export interface HeadStep {
  readonly kind: 'head';
  readonly mark: Mark;
  readonly role: HeadRole;
  /** Where it travelled: on the hop to the proxy, or inside the tunnel, encrypted or not. */
  readonly through: 'hop' | 'tls' | 'clear-tunnel';
  /** Start line and fields, one character per octet; secrets are masked already. */
  readonly lines: readonly string[];
  /** Of a response. */
  readonly status?: number;
  /** The credentials and challenges in its fields, decoded. */
  readonly tokens?: readonly DecodedToken[];
}

export interface CertificateSummary {
  readonly subject: string;
  readonly issuer: string;
  /** Last day, as an ISO date. */
  readonly until: string;
}

export interface FailureStep {
  readonly kind: 'failed';
  /** Who could not or would not: `you`, `the proxy`, `the destination`, … */
  readonly who: string;
  readonly what: string;
  /** What to do about it, where there is something. */
  readonly advice?: string;
  readonly rfc?: string;
}

/** One thing that happened. */
export type Event =
  | { readonly kind: 'proxy-connected'; readonly from: string; readonly to: string; readonly over: 'tcp' | 'tls' }
  | HeadStep
  | { readonly kind: 'decided'; readonly verdict: 'allow' | 'deny'; readonly rule: string }
  | { readonly kind: 'routed'; readonly routes: readonly string[] }
  | { readonly kind: 'dns'; readonly host: string; readonly addresses: readonly string[]; readonly tookMs: number }
  | { readonly kind: 'dialing'; readonly address: string; readonly port: number; readonly attempt: number }
  | { readonly kind: 'attempt-failed'; readonly address: string; readonly reason: string; readonly tookMs: number }
  | { readonly kind: 'connected'; readonly address: string; readonly tookMs: number }
  /** TLS of the proxy with the next proxy, whose certificate is verified. */
  | {
      readonly kind: 'secured';
      readonly proxy: string;
      readonly speaks: 'h2' | 'http/1.1';
      readonly tookMs: number;
    }
  /** A SOCKS proxy has accepted the request for a tunnel. */
  | {
      readonly kind: 'socks';
      readonly protocol: 'socks4' | 'socks4a' | 'socks5' | 'http' | 'https';
      readonly proxy: string;
      readonly asked: string;
      readonly resolvedBy: 'you' | 'the proxy';
      readonly login: 'none' | 'if it asks';
    }
  | { readonly kind: 'tunnel-open' }
  | ({ readonly kind: 'client-hello' } & ClientHello)
  | {
      readonly kind: 'tls';
      readonly protocol: string;
      readonly cipher: string;
      readonly alpn: string | undefined;
      readonly certificate: CertificateSummary | undefined;
      /** Why the certificate is not trusted; absent when it is. */
      readonly distrust: string | undefined;
      readonly tookMs: number;
    }
  | {
      readonly kind: 'body';
      readonly bytes: number;
      readonly ended: 'complete' | 'cut' | 'enough';
      /** The text of a refusal, where it is plain text. */
      readonly text?: string;
    }
  /** Everything that passed the client's connection: inside the tunnel, or to the proxy where there is none. */
  | { readonly kind: 'done'; readonly bytesUp: number; readonly bytesDown: number }
  | FailureStep;

/** `ms` since the start. */
export type Step = Event & { readonly ms: number };

/** One run, in order; what `--json` prints. Names are added to, never renamed. */
export interface Explanation {
  /** Without userinfo; the values of a query are masked. */
  readonly url: string;
  readonly method: string;
  readonly proxy: { readonly url: string; readonly started: 'for-this-run' | 'before' };
  readonly outcome: 'answered' | 'failed';
  readonly status: number | undefined;
  readonly totalMs: number;
  readonly steps: readonly Step[];
}
