/** Offsets are cached for each quarter of an hour: no zone changes its clock in between. */
const SLOT_MS = 15 * 60_000;
/** Slots that are cached: ten days' worth. A script that walks through a century would fill the memory. */
const SLOTS_MAX = 1000;

/** Minutes to add to local time for UTC, at an instant; positive west of Greenwich, as `getTimezoneOffset` has it. */
export type Zone = (atMs: number) => number;

/** `undefined`: the machine's own zone. The name is first used when a script needs the local time. */
export function timeZone(name: string | undefined): Zone {
  if (name === undefined) return (atMs) => new Date(atMs).getTimezoneOffset();
  // To create an Intl.DateTimeFormat takes longer than most scripts.
  if (/^(?:Etc\/)?(?:UTC|GMT)$/i.test(name)) return () => 0;
  let format: Intl.DateTimeFormat | undefined;
  const cached = new Map<number, number>();
  return (atMs) => {
    const slot = Math.floor(atMs / SLOT_MS);
    let offset = cached.get(slot);
    if (offset === undefined) {
      if (cached.size >= SLOTS_MAX) cached.clear();
      format ??= formatIn(name);
      offset = offsetAt(format, slot * SLOT_MS);
      cached.set(slot, offset);
    }
    return offset;
  };
}

/** Throws RangeError for an unknown zone. */
function formatIn(name: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en-US', {
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
}

/** Whether `timeZone` knows the name. */
export function isTimeZone(name: string): boolean {
  try {
    timeZone(name)(0);
    return true;
  } catch {
    return false;
  }
}

function offsetAt(format: Intl.DateTimeFormat, atMs: number): number {
  // Instants beyond the range of Date (ECMA-262 §21.4.1.1) have no offset.
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
