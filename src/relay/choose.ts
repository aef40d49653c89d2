import type { Clock } from '../core/clock.ts';
import type { Relay } from '../core/contracts.ts';
import type { IdleWatch } from './idle-watch.ts';
import { NativeRelay } from './native.ts';
import { nativeThread } from './native-thread.ts';
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
