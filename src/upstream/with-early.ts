import type { Connection } from '../core/stages.ts';

/** The same connection, one step further: what its peer sent behind the answer comes first. */
export const withEarly = (connection: Connection, early: Buffer): Connection => ({
  wire: connection.wire,
  early,
  address: connection.address,
  [Symbol.dispose]: () => connection[Symbol.dispose](),
});
