import type { Relay } from '../contracts/relay.ts';
import { loadAddon } from '../native/addon.ts';
import { nativeThread } from '../native/relay-thread.ts';
import { type EpollSockets, epollSockets } from '../net/epoll-sockets.ts';
import type { IdleWatch } from '../net/idle-watch.ts';
import type { Clock } from '../util/clock.ts';
import { NativeRelay } from './native-relay.ts';
import type { RelayKind } from './options.ts';
import { portableRelay } from './portable-relay.ts';

/** The configured relay. Throws when it must be native, and there is no addon or no thread for it. */
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

/** Why the configured relay is not there; `undefined` when it is. */
export function relayProblem(wanted: RelayKind): string | undefined {
  if (wanted !== 'native') return undefined;
  const loaded = loadAddon();
  return loaded.addon === undefined ? loaded.why : undefined;
}

/** The configured sockets: the addon's, where it is built; `undefined`: Node's. */
export const chooseSockets = (wanted: RelayKind): EpollSockets | undefined =>
  wanted === 'portable' ? undefined : epollSockets();
