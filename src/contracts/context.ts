import { abortSignalOf } from '../util/stop.ts';
import type { IdentifiableRequest } from './identity.ts';
import type { Authority, ClientInfo, Headers, RequestState } from './request.ts';
import type { Principal } from './stages.ts';

/** What every hook of a program that embeds the proxy gets to know of a request. */
export interface RequestContext {
  readonly id: string;
  readonly kind: 'tunnel' | 'forward';
  readonly method: string;
  readonly target: Authority;
  /** Plain requests only: the absolute URL as received. */
  readonly url: string | undefined;
  /** As received: `Proxy-Authorization` is among them. */
  readonly headers: Headers;
  /** Of `headers`, in any case of the name: several fields of one name as a list (RFC 9110 §5.3). `undefined`: there is none. */
  header(name: string): string | undefined;
  /** The same object for all requests of one client connection, and in the events of that connection. */
  readonly client: ClientInfo;
  /** `undefined` where clients need no account, and before `authenticate` has answered. */
  readonly user: { readonly id: string } | undefined;
  /** The program's own values: what one hook sets, the next ones read, and so do events, sessions and `record.state`. */
  readonly state: RequestState;
  /** Aborts when the client goes away or the proxy stops. */
  readonly signal: AbortSignal;
}

/** A request, or a login that comes before it, as in SOCKS5: then it has neither kind nor target. */
export type ContextRequest = IdentifiableRequest['request'] & {
  readonly kind?: 'tunnel' | 'forward' | undefined;
  readonly target?: Authority | undefined;
  readonly url?: string | undefined;
  state?: RequestState | undefined;
};

const NO_TARGET: Authority = { host: '', port: 0 };

/** A class, so that what few hooks read is made only when it is read. */
export class HookContext implements RequestContext {
  readonly id: string;
  readonly kind: 'tunnel' | 'forward';
  readonly method: string;
  readonly target: Authority;
  readonly url: string | undefined;
  readonly headers: Headers;
  readonly client: ClientInfo;
  readonly user: { readonly id: string } | undefined;
  readonly #request: ContextRequest;

  constructor(request: ContextRequest, principal: Principal | undefined) {
    this.id = request.id;
    this.kind = request.kind ?? 'tunnel';
    this.method = request.method;
    this.target = request.target ?? NO_TARGET;
    this.url = request.url;
    this.headers = request.headers;
    this.client = request.client;
    this.user = principal === undefined || principal.scheme === 'none' ? undefined : { id: principal.name };
    this.#request = request;
  }

  /** Given, and not called, so that a hook can take it out of its context as it takes the rest. */
  get header(): (name: string) => string | undefined {
    return (wanted) => {
      const values = this.headers.filter(([name]) => name.toLowerCase() === wanted.toLowerCase());
      return values.length === 0 ? undefined : values.map(([, value]) => value).join(', ');
    };
  }

  get state(): RequestState {
    this.#request.state ??= {};
    return this.#request.state;
  }

  get signal(): AbortSignal {
    return abortSignalOf(this.#request.signal);
  }
}
