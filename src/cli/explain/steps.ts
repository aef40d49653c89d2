import type { ClientHello } from '../../protocol/client-hello.ts';
import type { TokenSeen } from './tokens.ts';

/** Who speaks to whom: client to proxy, proxy to client, proxy to upstream, upstream to proxy. */
export type Mark = '>' | '<' | '>>' | '<<';

/**
 * What a head is for: `connect` asks for a tunnel, `request` for a resource; each has its answer.
 * `interim` is a 1xx before the answer.
 */
export type HeadRole = 'connect' | 'connect-answer' | 'request' | 'answer' | 'interim';

export interface HeadSeen {
  readonly kind: 'head';
  readonly mark: Mark;
  readonly role: HeadRole;
  /** Where it travelled: on the hop to the proxy, or inside the tunnel, encrypted or not. */
  readonly through: 'hop' | 'tls' | 'clear-tunnel';
  /** Start line and fields, one character per octet; secrets are masked already. */
  readonly lines: readonly string[];
  /** Of an answer. */
  readonly status?: number;
  /** What its fields say about who somebody is, taken apart. */
  readonly tokens?: readonly TokenSeen[];
}

export interface CertificateShown {
  readonly subject: string;
  readonly issuer: string;
  /** Last day, as an ISO date. */
  readonly until: string;
}

export interface Failed {
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
  | HeadSeen
  | { readonly kind: 'decided'; readonly verdict: 'allow' | 'deny'; readonly rule: string }
  | { readonly kind: 'routed'; readonly routes: readonly string[] }
  | { readonly kind: 'dns'; readonly host: string; readonly addresses: readonly string[]; readonly tookMs: number }
  | { readonly kind: 'dialing'; readonly address: string; readonly port: number; readonly attempt: number }
  | { readonly kind: 'attempt-failed'; readonly address: string; readonly reason: string; readonly tookMs: number }
  | { readonly kind: 'connected'; readonly address: string; readonly tookMs: number }
  | { readonly kind: 'tunnel-open' }
  | ({ readonly kind: 'client-hello' } & ClientHello)
  | {
      readonly kind: 'tls';
      readonly protocol: string;
      readonly cipher: string;
      readonly alpn: string | undefined;
      readonly certificate: CertificateShown | undefined;
      /** Why the certificate is not trusted; absent when it is. */
      readonly distrust: string | undefined;
      readonly tookMs: number;
    }
  | {
      readonly kind: 'body';
      readonly bytes: number;
      readonly ended: 'complete' | 'cut' | 'enough';
      /** Of a refusal in plain text: its words. */
      readonly says?: string;
    }
  /** Everything that passed the client's connection: inside the tunnel, or to the proxy where there is none. */
  | { readonly kind: 'done'; readonly bytesUp: number; readonly bytesDown: number }
  | Failed;

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
