import { CidrMap, type IpAddress, knownCidr, withoutMapping } from './ip-address.ts';

/** Where an IPv6 address carries an IPv4 one: the index of each of its octets. */
type Position = readonly [number, number, number, number];
const LAST_FOUR: Position = [12, 13, 14, 15];

interface Embedding {
  readonly positions: readonly Position[];
  /** Teredo hides the client's address from translators by inverting it (RFC 4380 §4). */
  readonly inverted: boolean;
}

const plainly = (...positions: Position[]): Embedding => ({ positions, inverted: false });

const EMBEDDINGS = new CidrMap<Embedding>();
for (const [block, embedding] of [
  ['::/96', plainly(LAST_FOUR)], // IPv4-compatible (RFC 4291 §2.5.5.1)
  ['::', plainly()], // except these two
  ['::1', plainly()],
  ['::ffff:0:0:0/96', plainly(LAST_FOUR)], // IPv4-translated (RFC 2765 §2.1)
  ['64:ff9b::/96', plainly(LAST_FOUR)], // NAT64 (RFC 6052 §2.1)
  // Local NAT64 (RFC 8215): the prefix length of RFC 6052 §2.2 in use is unknown, so all positions are read.
  ['64:ff9b:1::/48', plainly(LAST_FOUR, [6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12])],
  ['2002::/16', plainly([2, 3, 4, 5])], // 6to4 (RFC 3056 §2)
  ['2001::/32', { positions: [LAST_FOUR], inverted: true }],
] as const satisfies readonly (readonly [string, Embedding])[]) {
  EMBEDDINGS.add(knownCidr(block), embedding);
}

/**
 * The addresses that a packet to this one may reach; access rules must allow all of them. For most it is the address
 * itself; where a translator finds an IPv4 address inside, it is that one.
 */
export function effectiveAddresses(address: IpAddress): readonly IpAddress[] {
  const plain = withoutMapping(address);
  if (plain.family === 4) return [plain];
  const embedding = EMBEDDINGS.find(plain).at(-1);
  if (!embedding) return isIsatap(plain) ? [plain, pick(plain, LAST_FOUR, 0)] : [plain];
  const inside = embedding.positions.map((position) => pick(plain, position, embedding.inverted ? 0xff : 0));
  // Only one of several positions holds the address; the others read as 0.x.x.x, to which no translator sends.
  const likely = inside.length > 1 ? inside.filter(({ octets }) => octets[0] !== 0) : inside;
  return likely.length > 0 ? likely : [plain];
}

const pick = ({ octets }: IpAddress, position: Position, mask: number): IpAddress => ({
  family: 4,
  octets: position.map((at) => (octets[at] ?? 0) ^ mask),
});

/** An ISATAP interface identifier (RFC 5214 §6.1), under any prefix. */
const isIsatap = ({ octets }: IpAddress): boolean =>
  (octets[8] === 0 || octets[8] === 2) && octets[9] === 0 && octets[10] === 0x5e && octets[11] === 0xfe;
