/** Offsets are remembered for each quarter of an hour: no zone changes its clock in between. */
const SLOT_MS = 15 * 60_000;
/** Slots that are remembered: ten days' worth. A script that walks through a century would fill the memory. */
const SLOTS_MAX = 1000;

/** Minutes to add to local time for UTC, at an instant; positive west of Greenwich, as `getTimezoneOffset` has it. */
export type Zone = (atMs: number) => number;

/** `undefined`: the machine's own zone. Throws RangeError for a name that is none. */
export function timeZone(name: string | undefined): Zone {
  if (name === undefined) return (atMs) => new Date(atMs).getTimezoneOffset();
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: name,
    hourCycle: 'h23',
    era: 'short',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  const known = new Map<number, number>();
  return (atMs) => {
    const slot = Math.floor(atMs / SLOT_MS);
    let offset = known.get(slot);
    if (offset === undefined) {
      if (known.size >= SLOTS_MAX) known.clear();
      offset = offsetAt(format, slot * SLOT_MS);
      known.set(slot, offset);
    }
    return offset;
  };
}

function offsetAt(format: Intl.DateTimeFormat, atMs: number): number {
  // Beyond the range of Date (ECMA-262 §21.4.1.1) nothing has an offset.
  if (!(Math.abs(atMs) <= 8.64e15)) return 0;
  const parts = new Map(format.formatToParts(atMs).map(({ type, value }) => [type, value]));
  const number = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.get(type));
  const year = parts.get('era') === 'BC' ? 1 - number('year') : number('year');
  const local = new Date(
    Date.UTC(2000, number('month') - 1, number('day'), number('hour'), number('minute'), number('second')),
  );
  local.setUTCFullYear(year, number('month') - 1, number('day'));
  return Math.round((atMs - local.getTime()) / 60_000);
}
