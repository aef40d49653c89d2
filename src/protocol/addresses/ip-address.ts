/** An address as octets in network order: 4 of them, or 16. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly octets: readonly number[];
}

const HEX_GROUP = /^[0-9a-f]{1,4}$/i;
const GROUPS = 8;

/**
 * Four decimal octets without leading zeros, or IPv6 as RFC 4291 §2.2 writes it, without brackets or a zone id.
 * Octal, hexadecimal and short IPv4 forms are not accepted: what one parser reads as 8.0.0.1 another
 * reads as 10.0.0.1, and a guard that disagrees with the resolver guards nothing.
 */
export function parseIp(text: string): IpAddress | undefined {
  const four = parseIpv4(text);
  if (four) return { family: 4, octets: four };
  if (!text.includes(':')) return undefined;
  const octets = parseIpv6(text);
  return octets && { family: 6, octets };
}

/** An address as the operating system writes it, possibly with a zone id (`fe80::1%eth0`), which names the link. */
export function parseIpWithZone(text: string): IpAddress | undefined {
  const percent = text.indexOf('%');
  return parseIp(percent < 0 ? text : text.slice(0, percent));
}

const DOT = 0x2e;
const ZERO = 0x30;

/** Parsed digit by digit: every request parses addresses several times, and a pattern costs ten times as much. */
function parseIpv4(text: string): readonly number[] | undefined {
  const octets: number[] = [];
  let octet = 0;
  let digits = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === DOT) {
      if (digits === 0) return undefined;
      octets.push(octet);
      octet = 0;
      digits = 0;
      continue;
    }
    const digit = code - ZERO;
    const hasLeadingZero = digits > 0 && octet === 0;
    if (!(digit >= 0 && digit <= 9) || hasLeadingZero) return undefined;
    octet = octet * 10 + digit;
    digits++;
    if (octet > 255) return undefined;
  }
  if (digits === 0 || octets.length !== 3) return undefined;
  octets.push(octet);
  // A copy has space for four; one that has grown has space for seventeen, for as long as the connection lives.
  return octets.slice();
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
    if (!mayEndInIpv4) return undefined;
    parts.pop();
  }
  for (const part of parts) {
    if (!HEX_GROUP.test(part)) return undefined;
    groups.push(Number.parseInt(part, 16));
  }
  if (last.includes('.')) {
    const four = parseIpv4(last);
    if (!four) return undefined;
    const [a = 0, b = 0, c = 0, d = 0] = four;
    groups.push((a << 8) | b, (c << 8) | d);
  }
  return groups;
}

/** The canonical spelling of an address (RFC 5952 §4). */
export function formatIp(address: IpAddress): string {
  const { octets } = address;
  if (address.family === 4) return `${octets[0]}.${octets[1]}.${octets[2]}.${octets[3]}`;
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

/** A block of addresses. Bits of `network` behind the first `bits` are ignored. */
export interface Cidr {
  readonly network: IpAddress;
  readonly bits: number;
}

const PREFIX_LENGTH = /^(?:0|[1-9]\d{0,2})$/;
const MAPPED_BITS = 96;

/** `10.0.0.0/8`, `fd00::/8`, or one address without a length. An IPv4-mapped block is the IPv4 block inside. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const given = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (!given) return undefined;
  const bitsMax = given.octets.length * 8;
  const length = slash < 0 ? String(bitsMax) : text.slice(slash + 1);
  const bits = PREFIX_LENGTH.test(length) ? Number(length) : Number.POSITIVE_INFINITY;
  if (bits > bitsMax) return undefined;
  const network = bits >= MAPPED_BITS ? withoutMapping(given) : given;
  return { network, bits: network.family === given.family ? bits : bits - MAPPED_BITS };
}

/**
 * Parses a block from the source code, or from configuration that its schema has checked. Throws TypeError for anything
 * else, which is then a bug.
 */
export function knownCidr(text: string): Cidr {
  const block = parseCidr(text);
  if (!block) throw new TypeError(`${text} is not a valid block of addresses`);
  return block;
}

interface TrieNode<V> {
  zero?: TrieNode<V>;
  one?: TrieNode<V>;
  values?: V[];
}

/** Values by block of addresses; a look-up takes one step per bit, however many blocks there are. */
export class CidrMap<V> {
  readonly #roots: Readonly<Record<4 | 6, TrieNode<V>>> = { 4: {}, 6: {} };

  add({ network, bits }: Cidr, value: V): void {
    let node = this.#roots[network.family];
    for (let at = 0; at < bits; at++) {
      const side = bitOf(network.octets, at);
      const next: TrieNode<V> = node[side] ?? {};
      node[side] = next;
      node = next;
    }
    if (node.values === undefined) node.values = [value];
    else node.values.push(value);
  }

  /** The values of every block that holds the address, widest block first. */
  find(address: IpAddress): V[] {
    const { family, octets } = withoutMapping(address);
    const found: V[] = [];
    let node: TrieNode<V> | undefined = this.#roots[family];
    for (let at = 0; node; at++) {
      if (node.values) found.push(...node.values);
      node = at < octets.length * 8 ? node[bitOf(octets, at)] : undefined;
    }
    return found;
  }
}

const bitOf = (octets: readonly number[], at: number): 'zero' | 'one' =>
  ((octets[at >> 3] ?? 0) >> (7 - (at & 7))) & 1 ? 'one' : 'zero';

/** Whether any of many blocks holds an address. */
export class CidrSet {
  readonly #blocks = new CidrMap<true>();

  constructor(blocks: Iterable<Cidr> = []) {
    for (const block of blocks) this.add(block);
  }

  add(block: Cidr): void {
    this.#blocks.add(block, true);
  }

  has(address: IpAddress): boolean {
    return this.#blocks.find(address).length > 0;
  }
}
