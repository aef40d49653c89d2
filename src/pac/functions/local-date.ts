/**
 * Makes `Date` right in the hours around a clock change. QuickJS reads a local time as if it were UTC when it looks for
 * the offset, which is wrong for as many hours as the zone is away from UTC. What turns UTC into local time is right.
 */
export function installLocalDate(): void {
  const Native = Date;
  const { UTC, prototype } = Native;
  const { apply, construct, defineProperty } = Reflect;
  const { getTime, setTime, getTimezoneOffset } = prototype;
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
    const set = prototype[`setUTC${field}`];
    const value = function (this: Date, ...args: number[]): number {
      const ms: number = apply(getTime, this, []);
      // The year of an invalid date can be set, and makes it valid; nothing else can.
      const local = new Native(field === 'FullYear' && Number.isNaN(ms) ? 0 : ms - offset(ms));
      apply(set, local, args);
      return apply(setTime, this, [toUtc(apply(getTime, local, []))]);
    };
    defineProperty(prototype, `set${field}`, { value, writable: true, configurable: true });
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
