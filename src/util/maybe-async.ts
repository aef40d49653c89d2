/** A value, or a promise of one where something has to be waited for. */
export type MaybeAsync<T> = T | Promise<T>;

/**
 * Uses a value: now where it is there, else once it has come. Most steps of a request have nothing to wait for, and an
 * `async` function for each would cost a small request more than its parsing (about 1 KB and half a microsecond).
 */
export const andThen = <T, R>(value: MaybeAsync<T>, use: (value: T) => MaybeAsync<R>): MaybeAsync<R> =>
  value instanceof Promise ? value.then(use) : use(value);
