/** One AV_PAIR (MS-NLMP §2.2.2.1): what a server tells about itself, and what a client adds to it. */
export interface TargetFact {
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

/** In `AV.flags`: the Type 3 message carries a MIC. */
export const MIC_PROVIDED = 2;

/** Servers send up to seven. */
const FACTS_MAX = 64;

/** `undefined`: a fact does not end within the bytes, or they are too many. Some servers leave the final mark out. */
export function readTargetInfo(bytes: Buffer): readonly TargetFact[] | undefined {
  const facts: TargetFact[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < 4) return undefined;
    const id = bytes.readUInt16LE(at);
    const end = at + 4 + bytes.readUInt16LE(at + 2);
    if (id === AV.end) break;
    if (end > bytes.length || facts.length === FACTS_MAX) return undefined;
    facts.push({ id, value: bytes.subarray(at + 4, end) });
    at = end;
  }
  return facts;
}

export function encodeTargetInfo(facts: readonly TargetFact[]): Buffer {
  const parts = [...facts, { id: AV.end, value: Buffer.alloc(0) }].flatMap(({ id, value }) => {
    const head = Buffer.alloc(4);
    head.writeUInt16LE(id, 0);
    head.writeUInt16LE(value.length, 2);
    return [head, value];
  });
  return Buffer.concat(parts);
}

/** The facts with this one in place of whatever was told under its id. */
export function withFact(facts: readonly TargetFact[], id: number, value: Buffer): readonly TargetFact[] {
  const at = facts.findIndex((fact) => fact.id === id);
  return at < 0 ? [...facts, { id, value }] : facts.with(at, { id, value });
}

export const factOf = (facts: readonly TargetFact[], id: number): Buffer | undefined =>
  facts.find((fact) => fact.id === id)?.value;
