import { DisposerStack } from '../../src/util/disposer-stack.ts';

/** What a test has opened, ended together: `AsyncDisposableStack`, which Node 22 lacks. A part that cannot end fails the test. */
export const openParts = (): DisposerStack =>
  new DisposerStack((name, error) => {
    throw new Error(`${name} could not be ended`, { cause: error });
  });
