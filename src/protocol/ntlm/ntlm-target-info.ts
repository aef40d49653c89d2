/** One AV_PAIR (MS-NLMP §2.2.2.1): a property of the server, or an addition of the client. */
export interface AvPair {
  readonly id: number;
  readonly value: Buffer;
}

export const AV = {
  end: 0,
  netbiosComputer: 1,
  netbiosDomain: 2,
  dnsComputer: 3,
  dnsDomain: 4,
  dnsTree: 5,
  flags: 6,
  timestamp: 7,
  singleHost: 8,
  targetName: 9,
  channelBindings: 10,
} as const;

/** In `AV.flags`: the Type 3 message has a MIC. */
export const MIC_PROVIDED = 2;

/** Servers send up to seven. */
const PAIRS_MAX = 64;

/** `undefined`: a pair does not end within the bytes, or there are too many. Some servers omit the final MsvAvEOL. */
export function readTargetInfo(bytes: Buffer): readonly AvPair[] | undefined {
  const pairs: AvPair[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < 4) return undefined;
    const id = bytes.readUInt16LE(at);
    const end = at + 4 + bytes.readUInt16LE(at + 2);
    if (id === AV.end) break;
    if (end > bytes.length || pairs.length === PAIRS_MAX) return undefined;
    pairs.push({ id, value: bytes.subarray(at + 4, end) });
    at = end;
  }
  return pairs;
}

export function encodeTargetInfo(pairs: readonly AvPair[]): Buffer {
  const parts = [...pairs, { id: AV.end, value: Buffer.alloc(0) }].flatMap(({ id, value }) => {
    const head = Buffer.alloc(4);
    head.writeUInt16LE(id, 0);
    head.writeUInt16LE(value.length, 2);
    return [head, value];
  });
  return Buffer.concat(parts);
}

/** The pairs with this one in place of the one with the same id. */
export function withAvPair(pairs: readonly AvPair[], id: number, value: Buffer): readonly AvPair[] {
  const at = pairs.findIndex((pair) => pair.id === id);
  return at < 0 ? [...pairs, { id, value }] : pairs.with(at, { id, value });
}

export const avValue = (pairs: readonly AvPair[], id: number): Buffer | undefined =>
  pairs.find((pair) => pair.id === id)?.value;
