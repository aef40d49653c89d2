import type { FailureCode } from './failure.ts';
import type { ProxyRecord } from './record.ts';
import type { Authority, ProxyRequest } from './request.ts';
import type { Decision, Route, RoutedBy } from './stages.ts';

/** What rooms say while they work. `id` is the request's; every request ends in exactly one `closed`. */
export type ProxyEvent =
  | { readonly type: 'received'; readonly id: string; readonly request: ProxyRequest }
  | { readonly type: 'decided'; readonly id: string; readonly decision: Decision }
  | { readonly type: 'would-deny'; readonly id: string; readonly rule: string }
  | { readonly type: 'routed'; readonly id: string; readonly routes: readonly Route[]; readonly by: RoutedBy }
  /** A route failed, and the next one is tried; or another one answered before it did. */
  | {
      readonly type: 'route-failed';
      readonly id: string;
      readonly route: Route;
      readonly reason: FailureCode;
      readonly ms: number;
    }
  | {
      readonly type: 'dns';
      readonly id: string;
      readonly host: string;
      readonly addresses: readonly string[];
      readonly ms: number;
    }
  | {
      readonly type: 'dialing';
      readonly id: string;
      readonly to: Authority;
      readonly address: string;
      readonly attempt: number;
    }
  | {
      readonly type: 'attempt-failed';
      readonly id: string;
      readonly address: string;
      readonly reason: string;
      readonly ms: number;
    }
  | { readonly type: 'connected'; readonly id: string; readonly address: string; readonly ms: number }
  | {
      readonly type: 'wire';
      readonly id: string;
      readonly hop: 'client' | 'upstream';
      readonly sent: 'by-peer' | 'by-us';
      readonly head: string;
    }
  | { readonly type: 'established'; readonly id: string }
  | { readonly type: 'closed'; readonly id: string; readonly record: ProxyRecord }
  /** An upstream proxy sits out until then, on the wall clock; `undefined`: it is back. */
  | { readonly type: 'health'; readonly proxy: string; readonly untilMs: number | undefined }
  /** Not about one request: something the operator should know. */
  | { readonly type: 'notice'; readonly level: 'info' | 'warn' | 'error'; readonly message: string };
