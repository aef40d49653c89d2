import type { FailureStep } from './steps.ts';

/** A conversation that cannot go on; it is part of the explanation, not a fault of the program. */
export class ExplainError extends Error {
  readonly failure: Omit<FailureStep, 'kind'>;
  constructor(failed: Omit<FailureStep, 'kind'>, options?: ErrorOptions) {
    super(failed.what, options);
    this.failure = failed;
  }
}
