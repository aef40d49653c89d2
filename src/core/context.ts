import type { Authority, ClientInfo, Headers } from './request.ts';
import type { Identified } from './stages.ts';
import { abortSignalOf } from './stop.ts';

/** What a hook of a program that embeds the proxy is told about a request. */
export interface RequestContext {
  readonly id: string;
  readonly kind: 'tunnel' | 'forward';
  readonly method: string;
  readonly target: Authority;
  /** Plain requests only: the absolute URL as received. */
  readonly url: string | undefined;
  readonly headers: Headers;
  readonly client: ClientInfo;
  /** `undefined` when nobody had to say who they are. */
  readonly user: { readonly id: string } | undefined;
  /** Aborts when the client goes away or the proxy stops. */
  readonly signal: AbortSignal;
}

export function contextOf({ request, principal }: Identified): RequestContext {
  const { id, kind, method, target, headers, client, signal } = request;
  return {
    id,
    kind,
    method,
    target,
    url: request.kind === 'forward' ? request.url : undefined,
    headers,
    client,
    user: principal.scheme === 'none' ? undefined : { id: principal.name },
    signal: abortSignalOf(signal),
  };
}
