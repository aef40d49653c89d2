import type { Relay, RelayResult } from '../contracts/relay.ts';

/** `run` of a relay that has `start`. */
export const runBy =
  (start: Relay['start']): Relay['run'] =>
  (client, upstream, limits) =>
    new Promise<RelayResult>((resolve) => start(client, upstream, limits, { relayEnded: resolve }));
