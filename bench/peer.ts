/** A proxy that is measured. One file in `peers/` each, and one line in `peers/all.ts`. */
export interface Peer {
  /** The value for `--peers`, and the head of the column. */
  readonly name: string;
  /** Commands and files that must be installed, and the Debian package of each. Empty for Viaduct. */
  readonly needs: readonly ({ readonly name: string } & ({ readonly command: string } | { readonly file: string }))[];
  /** What the load generator says to it, LOAD_SPEAKS of load.c. `relay`: no HTTP, so that it has tunnels only. */
  readonly speaks?: 'relay';
  /** Settings that affect the figures: processes, caches, logs. One line. */
  readonly settings: string;
  version(): string;
  /** Writes the configuration into its folder, and returns how to run it in the foreground. */
  prepare(at: InstancePaths): Launch;
}

/** Where one instance of a peer runs. */
export interface InstancePaths {
  /** Absolute; writable by all users, since some daemons drop their privileges. */
  readonly folder: string;
  /** The loopback port to listen on. */
  readonly port: number;
}

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}
