/**
 * Makes `Date` right in the hours around a clock change. QuickJS reads a local time as if it were UTC when it looks for
 * the offset, which is wrong for as many hours as the zone is away from UTC. What turns UTC into local time is right.
 * And a date whose field is set to something else than a number becomes invalid (ECMA-262, MakeTime and MakeDay):
 * QuickJS leaves it unchanged, so that `timeRange("x", 0, 9, 0)` would be true until nine.
 */
export function installLocalDate(): void {
  const Native = Date;
  const { UTC, prototype } = Native;
  const { apply, construct, defineProperty } = Reflect;
  const { getTime, setTime, getTimezoneOffset } = prototype;
  const isNumber = Number.isFinite;
  const day = 86_400_000;

  /** What to add to local time for UTC, at an instant. */
  const offset = (ms: number): number => apply(getTimezoneOffset, new Native(ms), []) * 60_000;

  const toUtc = (local: number): number => {
    const before = local + offset(local - day);
    const after = local + offset(local + day);
    // A local time that a change skips or repeats is read with the offset before it (ECMA-262, UTC(t)).
    if (before - offset(before) === local) return before;
    return after - offset(after) === local ? after : before;
  };

  for (const field of ['FullYear', 'Month', 'Date', 'Hours', 'Minutes', 'Seconds', 'Milliseconds'] as const) {
    const native = prototype[`setUTC${field}`];
    const set = (date: Date, given: readonly unknown[]): number => {
      const args: number[] = [];
      for (let at = 0; at < given.length && at < native.length; at++) args[at] = Number(given[at]);
      for (let at = 0; at < args.length; at++) if (!isNumber(args[at])) return apply(setTime, date, [Number.NaN]);
      return apply(native, date, args);
    };
    const setUtc = function (this: Date, ...args: unknown[]): number {
      return set(this, args);
    };
    const setLocal = function (this: Date, ...args: unknown[]): number {
      const ms: number = apply(getTime, this, []);
      // The year of an invalid date can be set, and makes it valid; nothing else can.
      const local = new Native(field === 'FullYear' && Number.isNaN(ms) ? 0 : ms - offset(ms));
      set(local, args);
      return apply(setTime, this, [toUtc(apply(getTime, local, []))]);
    };
    defineProperty(prototype, `setUTC${field}`, { value: setUtc, writable: true, configurable: true });
    defineProperty(prototype, `set${field}`, { value: setLocal, writable: true, configurable: true });
  }

  const LocalDate = function (...args: never[]): unknown {
    if (new.target === undefined) return new Native().toString();
    return construct(Native, args.length < 2 ? args : [toUtc(apply(UTC, undefined, args))], new.target);
  };
  for (const name of Reflect.ownKeys(Native)) {
    const property = Reflect.getOwnPropertyDescriptor(Native, name);
    if (property !== undefined) defineProperty(LocalDate, name, property);
  }
  defineProperty(prototype, 'constructor', { value: LocalDate, writable: true, configurable: true });
  defineProperty(globalThis, 'Date', { value: LocalDate, writable: true, configurable: true });
}
