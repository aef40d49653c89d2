/** A message at the beginning of some bytes, and its length. */
export interface ParseResult<T> {
  readonly value: T;
  readonly length: number;
}

/** What a client of SOCKS asks for, as it was sent: the host may be anything. */
export interface SocksRequest {
  readonly command: number;
  readonly host: string;
  readonly port: number;
}

/** The only command that is served, of both versions. BIND (2) and UDP ASSOCIATE (3) are refused. */
export const SOCKS_CONNECT = 1;
