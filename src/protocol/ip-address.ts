/** An address as octets in network order: 4 of them, or 16. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly octets: readonly number[];
}

const DECIMAL_OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const IPV4 = new RegExp(`^${DECIMAL_OCTET}(?:\\.${DECIMAL_OCTET}){3}$`);
const HEX_GROUP = /^[0-9a-f]{1,4}$/i;
const GROUPS = 8;

/**
 * Four decimal octets without leading zeros, or IPv6 as RFC 4291 §2.2 writes it, without brackets or a zone id.
 * Octal, hexadecimal and short IPv4 forms are no addresses here: what one parser reads as 8.0.0.1 another
 * reads as 10.0.0.1, and a guard that disagrees with the resolver guards nothing.
 */
export function parseIp(text: string): IpAddress | undefined {
  if (IPV4.test(text)) return { family: 4, octets: text.split('.').map(Number) };
  if (!text.includes(':')) return undefined;
  const octets = parseIpv6(text);
  return octets && { family: 6, octets };
}

function parseIpv6(text: string): readonly number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '', true) : [];
  if (!head || !tail) return undefined;
  const missing = GROUPS - head.length - tail.length;
  // `::` stands for at least one group; without it all eight are written out.
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  return groups.flatMap((group) => [group >> 8, group & 0xff]);
}

/** Groups of one side of `::`. Only the last part of an address may be a dotted IPv4. */
function parseGroups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const last = parts.at(-1) ?? '';
  const groups: number[] = [];
  if (last.includes('.')) {
    if (!mayEndInIpv4 || !IPV4.test(last)) return undefined;
    parts.pop();
  }
  for (const part of parts) {
    if (!HEX_GROUP.test(part)) return undefined;
    groups.push(Number.parseInt(part, 16));
  }
  if (last.includes('.')) {
    const [a = 0, b = 0, c = 0, d = 0] = last.split('.').map(Number);
    groups.push((a << 8) | b, (c << 8) | d);
  }
  return groups;
}

/** The one spelling that every spelling of the same address has (RFC 5952 §4). */
export function formatIp(address: IpAddress): string {
  const { octets } = address;
  if (address.family === 4) return octets.join('.');
  const groups: number[] = [];
  for (let at = 0; at < octets.length; at += 2) groups.push(((octets[at] ?? 0) << 8) | (octets[at + 1] ?? 0));
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  const zeros = longestZeroRun(groups);
  return zeros.length < 2
    ? hex(groups)
    : `${hex(groups.slice(0, zeros.start))}::${hex(groups.slice(zeros.start + zeros.length))}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let at = 0; at <= groups.length; at++) {
    if (groups[at] === 0) continue;
    if (at - start > best.length) best = { start, length: at - start };
    start = at + 1;
  }
  return best;
}

/** `::ffff:a.b.c.d` as the IPv4 inside: the kernel opens the same connection for both (RFC 4291 §2.5.5.2). */
export function withoutMapping(address: IpAddress): IpAddress {
  if (address.family === 4) return address;
  const { octets } = address;
  const mapped = octets.every((octet, at) => at >= 12 || octet === (at >= 10 ? 0xff : 0));
  return mapped ? { family: 4, octets: octets.slice(12) } : address;
}
