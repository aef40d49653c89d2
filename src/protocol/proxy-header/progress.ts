/** The address of a client as the proxy in front of us has seen it. */
export interface NamedClient {
  readonly address: string;
  readonly port: number;
}

/**
 * A header of the PROXY protocol ("The PROXY protocol, versions 1 & 2", haproxy.org) at the beginning of a connection.
 * `client` is absent where it names none (LOCAL, UNKNOWN, UNSPEC): then the connection is the sender's own.
 */
export type ProxyHeaderProgress =
  | { readonly at: 'header'; readonly length: number; readonly client: NamedClient | undefined }
  | { readonly at: 'more' }
  | { readonly at: 'malformed'; readonly why: string };
