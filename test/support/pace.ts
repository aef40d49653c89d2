import { Transform, type TransformCallback } from 'node:stream';

/** A generator of numbers that gives the same ones each time: a failure can be seen again. */
export function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** One chunk in so many makes its reader stop for a while. */
const STALL_ONE_IN = 200;
const STALL_MS_MAX = 30;

/** Passes everything on, and now and then stands still. */
export class Pace extends Transform {
  readonly #pick: (below: number) => number;

  constructor(pick: (below: number) => number) {
    super();
    this.#pick = pick;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.#pick(STALL_ONE_IN) === 0) setTimeout(() => done(null, chunk), this.#pick(STALL_MS_MAX));
    else done(null, chunk);
  }
}
