import type { Tools } from './tools.ts';

/**
 * `weekdayRange`, `dateRange`, `timeRange`, exactly as Firefox and Chromium compute them, oddities included: scripts
 * depend on them. `Date` is looked up in each call, since a script may have replaced it.
 */
export function installTime({ defineVariadic }: Tools): void {
  const days = new Map<unknown, number>();
  for (const day of ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT']) days.set(day, days.size);
  const months = new Map<unknown, number>();
  for (const month of ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'])
    months.set(month, months.size);

  /** The arguments without a `GMT` behind them. */
  const split = (given: readonly unknown[]): { isGmt: boolean; args: readonly unknown[] } => {
    const isGmt = `${given[given.length - 1]}` === 'GMT';
    return { isGmt, args: isGmt ? given.slice(0, -1) : given };
  };

  /** Also for ranges that wrap around the end of the week, the day or the year. */
  const isBetween = (from: Date, at: Date, to: Date): boolean =>
    from <= to ? from <= at && at <= to : to >= at || at >= from;

  /** Sets the local fields to those of UTC, one by one, each read after the one before was written, as browsers do. */
  const readAsUtc = (date: Date): void => {
    for (const field of ['FullYear', 'Month', 'Date', 'Hours', 'Minutes', 'Seconds'] as const) {
      date[`set${field}`](date[`getUTC${field}`]());
    }
  };

  defineVariadic('weekdayRange', (...given) => {
    const date = new Date();
    if (given.length === 0) return false;
    const { isGmt, args } = split(given);
    const today = isGmt ? date.getUTCDay() : date.getDay();
    const from = days.get(given[0]);
    const to = args.length === 2 ? days.get(given[1]) : from;
    if (from === undefined || to === undefined) return false;
    return from <= to ? from <= today && today <= to : to >= today || today >= from;
  });

  const monthOf = (name: unknown): number => months.get(name) ?? -1;
  /** As `parseInt` reads it without a base: `0x10` is 16. */
  const numberOf = (given: unknown): number => {
    const text = `${given}`;
    return Number.parseInt(text, /^\s*[-+]?0x/i.test(text) ? 16 : 10);
  };
  /** A day up to 31, else a year; anything else is the name of a month. */
  const put = (given: unknown, date: Date): void => {
    const number = numberOf(given);
    if (Number.isNaN(number)) date.setMonth(monthOf(given));
    else if (number < 32) date.setDate(number);
    else date.setFullYear(number);
  };
  const isOn = (given: unknown, date: Date, isGmt: boolean): boolean => {
    const number = numberOf(given);
    if (Number.isNaN(number)) return (isGmt ? date.getUTCMonth() : date.getMonth()) === monthOf(given);
    if (number < 32) return (isGmt ? date.getUTCDate() : date.getDate()) === number;
    return (isGmt ? date.getUTCFullYear() : date.getFullYear()) === number;
  };

  defineVariadic('dateRange', (...given) => {
    const date = new Date();
    if (given.length === 0) return false;
    const { isGmt, args } = split(given);
    if (args.length === 1) return isOn(args[0], date, isGmt);
    const year = date.getFullYear();
    const from = new Date(year, 0, 1, 0, 0, 0);
    const to = new Date(year, 11, 31, 23, 59, 59);
    const middle = args.length >> 1;
    for (let at = 0; at < middle; at++) put(args[at], from);
    for (let at = middle; at < args.length; at++) put(args[at], to);
    // Of two arguments of which the first is a day, both are days of this month.
    if (args.length === 2 && numberOf(args[0]) < 32) {
      from.setMonth(date.getMonth());
      to.setMonth(date.getMonth());
    }
    if (isGmt) readAsUtc(date);
    return isBetween(from, date, to);
  });

  defineVariadic('timeRange', (...given) => {
    const date = new Date();
    if (given.length === 0) return false;
    const { isGmt, args } = split(given);
    const hour = isGmt ? date.getUTCHours() : date.getHours();
    if (args.length === 1) return args[0] !== null && Number(args[0]) === hour;
    if (args.length === 2) return Number(args[0]) <= hour && hour <= Number(args[1]);
    // A string and not an Error, as in browsers: a script may show what it has caught.
    if (args.length !== 4 && args.length !== 6) throw 'timeRange: bad number of arguments';
    const from = new Date();
    const to = new Date();
    const middle = args.length >> 1;
    if (middle === 3) {
      from.setSeconds(Number(args[2]));
      to.setSeconds(Number(args[5]));
    }
    from.setHours(Number(args[0]));
    from.setMinutes(Number(args[1]));
    to.setHours(Number(args[middle]));
    to.setMinutes(Number(args[middle + 1]));
    // The last minute of a range without seconds belongs to it.
    if (middle === 2) to.setSeconds(59);
    if (isGmt) readAsUtc(date);
    return isBetween(from, date, to);
  });
}
