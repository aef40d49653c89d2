import type { ProxyError } from './failure.ts';
import type { ClientInfo, ProxyRequest } from './request.ts';
import type { Principal } from './stages.ts';

/** What an authenticator may read: no target, since in SOCKS5 a client logs in before it names one. */
export interface IdentifiableRequest {
  readonly request: Pick<
    ProxyRequest,
    'id' | 'method' | 'requestTarget' | 'protocol' | 'headers' | 'credentials' | 'client' | 'signal'
  >;
}

/** Whether a client must log in. `optional`: that shows when its request is there, as a program may let some pass without. */
export type LoginNeed = 'login' | 'nothing' | 'optional';

/** Which user sends a request: the first authenticator that recognises the credentials decides. */
export interface Authenticator {
  /** `none`: clients do not have to authenticate. */
  readonly scheme: string;
  /** Whether this client must log in; absent: all must, unless the scheme is `none`. */
  requires?(client: ClientInfo): LoginNeed;
  identify(from: IdentifiableRequest): Principal | Challenge | Promise<Principal | Challenge>;
}

/** What a protocol asks for that lets its clients log in before they send a request, as SOCKS5 does. */
export const requiresLogin = (authenticator: Authenticator, client: ClientInfo): LoginNeed =>
  authenticator.requires?.(client) ?? (authenticator.scheme === 'none' ? 'nothing' : 'login');

/** Which clients may use the proxy, by their address: asked when one connects, and again for each of its requests. */
export interface ClientFilter {
  /** Why that client may not; `undefined` when it may. */
  refusal(client: ClientInfo): ProxyError | undefined;
}

/** A value of `Proxy-Authenticate`. */
export interface Challenge {
  readonly challenge: string;
  /** Of other schemes or other hashes, each a field of its own, weaker ones later. */
  readonly further?: readonly string[];
  /** Why no user was recognised, for the log. */
  readonly reason?: string;
  /** What the client reads, instead of the sentence of `client_auth_required`. */
  readonly clientMessage?: string | undefined;
}
