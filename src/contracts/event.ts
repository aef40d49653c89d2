import type { FailureCode, ProxyError } from './failure.ts';
import type { ProxyRecord } from './record.ts';
import type { Authority, ClientInfo, Headers, ProxyRequest, RequestState } from './request.ts';
import type { Decision, Route, RouteSource } from './stages.ts';

/** What happens to requests, and to the proxy. `id` is the request's; every request ends in exactly one `close`. */
export type ProxyEvent =
  | { readonly type: 'request'; readonly id: string; readonly request: ProxyRequest }
  | { readonly type: 'decided'; readonly id: string; readonly decision: Decision }
  | { readonly type: 'routed'; readonly id: string; readonly routes: readonly Route[]; readonly by: RouteSource }
  /** A route failed, and the next one is tried; or another one was faster. */
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
  /** TLS with an upstream proxy is verified; `proxy` is its URL, without a login. */
  | {
      readonly type: 'secured';
      readonly id: string;
      readonly proxy: string;
      /** What is spoken inside. */
      readonly speaks: 'h2' | 'http/1.1';
      readonly ms: number;
    }
  /** A head as it passes, whole: it may hold passwords. Only for a `tap`: printing it costs more than parsing it. */
  | {
      readonly type: 'head';
      readonly id: string;
      readonly hop: 'client' | 'upstream';
      readonly sent: 'by-peer' | 'by-us';
      readonly head: string;
    }
  /**
   * The head of the response that the client gets has been written, once for every request that has one: the origin's,
   * with its framing left out, or our own. What then becomes of its body is in the record.
   */
  | {
      readonly type: 'response';
      readonly id: string;
      readonly status: number;
      readonly headers: Headers;
      readonly state?: RequestState | undefined;
    }
  /** An upstream proxy has answered a CONNECT with this head: the last one of a chain, and not a 407 that was answered. */
  | {
      readonly type: 'upstreamResponse';
      readonly id: string;
      readonly proxy: string;
      readonly status: number;
      readonly headers: Headers;
      readonly state?: RequestState | undefined;
    }
  /** The request has failed: what the client has received, and in `cause` what a hook threw. Its `close` follows. */
  | {
      readonly type: 'error';
      readonly id: string;
      readonly error: ProxyError;
      readonly state?: RequestState | undefined;
    }
  /** A client has connected. `client` is the object that its requests carry. */
  | { readonly type: 'connection'; readonly client: ClientInfo }
  | { readonly type: 'connectionClosed'; readonly client: ClientInfo }
  | { readonly type: 'established'; readonly id: string }
  | { readonly type: 'close'; readonly id: string; readonly record: ProxyRecord }
  /** An upstream proxy is down until then, on the wall clock; `undefined`: it is in service again. */
  | { readonly type: 'health'; readonly proxy: string; readonly untilMs: number | undefined }
  /** Something the operator should know; `debug`, where `log.level` asks for it: a step of a request. */
  | {
      readonly type: 'notice';
      readonly level: NoticeLevel;
      readonly message: string;
      /** The request that it is about. The message names it, and is the same as that of another request without it. */
      readonly id?: string | undefined;
    };

/** What a notice says, whichever request it is about: repeats are counted by it. */
export const subjectOfNotice = ({
  message,
  id,
}: {
  readonly message: string;
  readonly id?: string | undefined;
}): string => (id === undefined ? message : message.replaceAll(id, ''));

export type NoticeLevel = 'debug' | 'info' | 'warn' | 'error';

export type Observe = (event: ProxyEvent) => void;

/** Receives events; disposing flushes what is still to be written. */
export interface Exporter extends AsyncDisposable {
  readonly name: string;
  /** The types of events that it receives. Default: all. */
  readonly only?: readonly ProxyEvent['type'][] | undefined;
  readonly observe: Observe;
}
