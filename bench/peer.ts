/** A proxy that is measured. One file in `peers/` each, and one line in `peers/all.ts`. */
export interface Peer {
  /** As `--peers` takes it and the table shows it. */
  readonly name: string;
  /** Commands that must be there, and the Debian package that brings each. None for a peer of our own. */
  readonly needs: readonly { readonly name: string; readonly command: string }[];
  /** What the reader must know to judge the figures: processes, caches, logs. One line. */
  readonly settings: string;
  version(): string;
  /** Writes the configuration into `folder`, which is its own, and says how to run it in the foreground. */
  prepare(place: Place): Launch;
}

/** Where one instance of a peer runs. */
export interface Place {
  /** Absolute; anybody may write there, since some daemons give up root. */
  readonly folder: string;
  /** The loopback port to listen on. */
  readonly port: number;
}

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}
