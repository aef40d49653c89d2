import type { Clock } from '../core/clock.ts';
import type { Relay } from '../core/contracts.ts';
import type { IdleWatch } from './idle-watch.ts';
import { NativeRelay } from './native.ts';
import { nativeThread } from './native-thread.ts';
import type { RelayKind } from './options.ts';
import { portableRelay } from './relay.ts';

/** `native` was asked for and is not there. */
export class NoNativeRelayError extends Error {
  override readonly name = 'NoNativeRelayError';
}

export interface ChosenRelay {
  readonly kind: 'native' | 'portable';
  readonly relay: Relay;
}

/** The relay that a configuration asks for. Throws NoNativeRelayError when it must be native and cannot be. */
export function chooseRelay(wanted: RelayKind, idle: IdleWatch, clock: Clock): ChosenRelay {
  const portable = portableRelay(idle);
  if (activeRelay(wanted) === 'portable') return { kind: 'portable', relay: portable };
  const { thread } = nativeThread();
  return thread === undefined
    ? { kind: 'portable', relay: portable }
    : { kind: 'native', relay: new NativeRelay({ thread, portable, idle, clock }) };
}

/** Which one that is, without a proxy. Throws as `chooseRelay` does. */
export function activeRelay(wanted: RelayKind): 'native' | 'portable' {
  if (wanted === 'portable') return 'portable';
  const started = nativeThread();
  if (started.thread !== undefined) return 'native';
  if (wanted === 'auto') return 'portable';
  throw new NoNativeRelayError(`relay: native is not there: ${started.why}`);
}
