import type { TimeWindowOptions } from './options.ts';

/** Whether a window is open at a wall-clock time. */
export type TimeWindow = (wallMs: number) => boolean;

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const DAY_MINUTES = 24 * 60;
const WEEK_DAYS = 7;

/**
 * A window of local time. One that ends before it begins goes over midnight and belongs to the day on which it
 * begins: `days: [fri], from: "22:00", to: "06:00"` is open on Saturday at 05:59. Local time decides when clocks
 * change: an hour that occurs twice is inside twice.
 */
export function timeWindow(options: TimeWindowOptions): TimeWindow {
  const days = new Set(options.days?.flatMap(daysIn) ?? DAYS.keys());
  const from = minuteOf(options.from ?? '00:00');
  const to = minuteOf(options.to ?? '24:00');
  const localTime = localClock(options.zone);
  return (wallMs) => {
    const { day, minute } = localTime(wallMs);
    if (from < to) return days.has(day) && from <= minute && minute < to;
    return minute >= from ? days.has(day) : minute < to && days.has((day + WEEK_DAYS - 1) % WEEK_DAYS);
  };
}

/** `mon-fri`, `sat-mon`, `sun` as numbers of days, Sunday being 0. */
function daysIn(range: string): number[] {
  const [first = '', last = first] = range.toLowerCase().split('-');
  const from = DAYS.indexOf(first);
  const count = ((DAYS.indexOf(last) - from + WEEK_DAYS) % WEEK_DAYS) + 1;
  return Array.from({ length: count }, (_, at) => (from + at) % WEEK_DAYS);
}

function minuteOf(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return hours * 60 + minutes;
}

interface LocalTime {
  readonly day: number;
  /** Minute of the day. */
  readonly minute: number;
}

const MINUTE_MS = 60_000;

/** Formatting the time of a zone costs microseconds, so the result is kept for its minute: offsets are whole minutes. */
function localClock(zone: string | undefined): (wallMs: number) => LocalTime {
  const read = zone === undefined ? ownLocalTime : zonedLocalTime(zone);
  let minuteRead = Number.NaN;
  let time: LocalTime = { day: 0, minute: 0 };
  return (wallMs) => {
    const minute = Math.floor(wallMs / MINUTE_MS);
    if (minute !== minuteRead) {
      time = read(wallMs);
      minuteRead = minute;
    }
    return time;
  };
}

function ownLocalTime(wallMs: number): LocalTime {
  const date = new Date(wallMs);
  return { day: date.getDay(), minute: date.getHours() * 60 + date.getMinutes() };
}

function zonedLocalTime(zone: string): (wallMs: number) => LocalTime {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  return (wallMs) => {
    const parts = new Map(format.formatToParts(wallMs).map(({ type, value }) => [type, value]));
    const day = DAYS.indexOf((parts.get('weekday') ?? '').toLowerCase());
    return { day, minute: (Number(parts.get('hour')) * 60 + Number(parts.get('minute'))) % DAY_MINUTES };
  };
}
