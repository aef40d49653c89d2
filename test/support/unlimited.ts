import type { Permit } from '../../src/contracts/stages.ts';

/** A permit under no limit at all. */
export const unlimited: Permit = { limits: [], [Symbol.dispose]: () => undefined };
