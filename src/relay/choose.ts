import type { Clock } from '../core/clock.ts';
import type { Relay } from '../core/contracts.ts';
import { loadAddon } from '../native/addon.ts';
import { type Lane, nativeLane } from '../native/lane.ts';
import { nativeThread } from '../native/thread.ts';
import type { IdleWatch } from './idle-watch.ts';
import { NativeRelay } from './native.ts';
import type { RelayKind } from './options.ts';
import { portableRelay } from './relay.ts';

/** The relay that a configuration asks for. Throws when it must be native, and the system has no thread for it. */
export function chooseRelay(wanted: RelayKind, idle: IdleWatch, clock: Clock): Relay {
  const portable = portableRelay(idle);
  if (wanted === 'portable') return portable;
  const started = nativeThread();
  if (started.thread !== undefined) return new NativeRelay({ thread: started.thread, portable, idle, clock });
  if (wanted === 'native') throw new Error(`the native relay is not there: ${started.why}`);
  return portable;
}

/** Which relay moves the bytes of plain tunnels, on this machine. */
export const activeRelay = (wanted: RelayKind): 'native' | 'portable' =>
  wanted !== 'portable' && loadAddon().addon !== undefined ? 'native' : 'portable';

/** Why the relay that is asked for is not there; `undefined` when it is. */
export function relayProblem(wanted: RelayKind): string | undefined {
  if (wanted !== 'native') return undefined;
  const loaded = loadAddon();
  return loaded.addon === undefined ? loaded.why : undefined;
}

/** The sockets that a configuration asks for: the addon's, where it is there; `undefined`: Node's. */
export const chooseLane = (wanted: RelayKind): Lane | undefined => (wanted === 'portable' ? undefined : nativeLane());
