import type { Connection } from '../contracts/stages.ts';

/** The same connection with other early data: what its peer sent behind the response that was read. */
export const withEarly = (connection: Connection, early: Buffer): Connection => ({
  wire: connection.wire,
  early,
  address: connection.address,
  [Symbol.dispose]: () => connection[Symbol.dispose](),
});
