import type { Failed } from './steps.ts';

/** A conversation that cannot go on; it is part of the explanation, not a fault of the program. */
export class Stopped extends Error {
  readonly failed: Omit<Failed, 'kind'>;
  constructor(failed: Omit<Failed, 'kind'>, options?: ErrorOptions) {
    super(failed.what, options);
    this.failed = failed;
  }
}
