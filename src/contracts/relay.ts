import type { StopSignal } from '../util/stop.ts';
import type { Connection, Permit } from './stages.ts';

/** Moves the bytes of one tunnel until it ends. */
export interface Relay {
  run(client: Connection, upstream: Connection, limits: RelayLimits): Promise<RelayResult>;
  /** As `run`. A promise and what waits for it take 400 bytes of each silent tunnel; the listener takes none. */
  start(client: Connection, upstream: Connection, limits: RelayLimits, listener: RelayEndListener): void;
  /** The same for a tunnel that runs already: `slot` is its number. Absent where none can. */
  follow?(slot: number, limits: RelayLimits, listener: RelayEndListener): void;
}

/** Called once, in a microtask of its own: the code that ends a tunnel is done with it. */
export interface RelayEndListener {
  relayEnded(result: RelayResult): void;
}

export interface RelayLimits {
  readonly signal: StopSignal;
  /** No byte either way for this long ends the tunnel; 0 never does. */
  readonly idleMs: number;
  /** After one side has ended: how long the other may be silent. */
  readonly lingerMs: number;
  readonly permit: Permit;
  /** Read while the tunnel runs, by the registry of live requests. */
  readonly meter: Meter;
}

/** Bytes that have passed; a number, since 2^53 bytes outlast any tunnel. */
export interface Meter {
  up: number;
  down: number;
  /** Set by a relay that counts elsewhere, as long as it does. */
  source?: MeterSource | undefined;
}
/** Where the bytes of a meter are counted that is not up to date all the time. */
export interface MeterSource {
  updateMeter(): void;
}

/** `limit`: a limit lets nothing more pass, e.g. a quota that is used up. */
export type RelayEnd = 'client' | 'upstream' | 'idle' | 'limit' | 'aborted' | 'error';

export interface RelayResult {
  readonly up: number;
  readonly down: number;
  readonly end: RelayEnd;
}
