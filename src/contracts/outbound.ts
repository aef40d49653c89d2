/** How connections of a route are opened and kept, where it differs from the configuration. */
export interface OutboundTerms {
  /** Local addresses, and names of interfaces; connections take them in turns. */
  readonly from?: readonly string[] | undefined;
  /** Only addresses of this family are dialled. */
  readonly family?: 4 | 6 | undefined;
  /** Resolves names instead of the proxy's resolver; nothing is remembered. Rejects with a ProxyError or an error of `node:dns`. */
  readonly lookup?: ((host: string) => Promise<readonly string[]>) | undefined;
  readonly connectMs?: number | undefined;
  readonly idleMs?: number | undefined;
  /** No connection is kept for another request, and none of another request is used. */
  readonly keepAlive?: false | undefined;
}

/** TLS with one proxy, where it differs from the configuration. */
export interface HopTls {
  /** Authorities that are trusted besides those of this machine, as PEM. */
  readonly ca?: readonly string[] | undefined;
  /** A certificate of our own, as PEM. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly passphrase?: string | undefined;
  /** The name that the certificate has, where that is not the host. */
  readonly servername?: string | undefined;
  /** The only certificate that is trusted, by whichever authority it is signed: the hexadecimal digits of its SHA-256. */
  readonly fingerprint?: string | undefined;
  /** `false`: any certificate is trusted. */
  readonly rejectUnauthorized?: boolean | undefined;
  /** Differs where anything else of this does, and reveals nothing: connections are shared by it. */
  readonly id: string;
}
