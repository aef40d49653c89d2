/**
 * Bytes that all busy sockets together may read in one round of the event loop, and the least for each. libuv reads on
 * while a socket fills the buffer, up to 32 times before it looks at another: that delays interactive traffic beside four
 * downloads by 25 ms. Large reads cost less CPU per byte; half a megabyte takes about 0.4 ms.
 */
export const TICK_BYTES = 524_288;
const READ_BYTES_MIN = 131_072;

/** Bytes that each of so many busy sockets may read in one round. */
export const tickBudget = (busy: number): number => Math.max(READ_BYTES_MIN, Math.floor(TICK_BYTES / busy));
