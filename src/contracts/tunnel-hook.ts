import type { Duplex } from 'node:stream';
import type { RequestContext } from './context.ts';

/** What a tunnel leads to in the program itself: a stream, or a server that takes it as a connection (`http.Server`). */
export type TunnelEnd = Duplex | ConnectionTaker;
export interface ConnectionTaker {
  emit(event: 'connection', connection: Duplex): boolean;
}

/**
 * Connects a CONNECT to something in the program instead of a network address. `undefined` or `null`: the request goes on.
 * Called behind `limit`, so that access rules and limits hold for it too; no address is dialled, so no guard is asked. When it
 * throws, the client gets 500 `hook_failed`.
 */
export type TunnelHook = (
  context: RequestContext,
) => TunnelEnd | null | undefined | Promise<TunnelEnd | null | undefined>;
