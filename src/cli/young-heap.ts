import { setFlagsFromString } from 'node:v8';

/**
 * V8 makes objects long-lived at once where those of the same line of code have been seen to live long, as the tunnels of
 * a busy minute do. Then every tunnel leaves such objects behind, and with them all that they point to, until a full
 * collection: a tenth of all garbage, and collections that take twenty times as long. Nothing here is made per request
 * that should outlive it, so V8 need not guess.
 */
export function expectShortLives(): void {
  setFlagsFromString('--no-allocation-site-pretenuring');
}
