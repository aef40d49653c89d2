/**
 * As much of the D-Bus wire format as a few calls need (D-Bus Specification, "Marshaling" and "Message Protocol").
 * We write little-endian; a peer answers in the byte order that its message names.
 */

export interface BusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly args: readonly BusArgument[];
}
export type BusArgument =
  | { readonly type: 's'; readonly value: string }
  | { readonly type: 'a{ss}'; readonly value: Readonly<Record<string, string>> };

export type BusMessage =
  | { readonly kind: 'reply'; readonly to: number; readonly body: BusReader }
  | { readonly kind: 'error'; readonly to: number; readonly name: string }
  /** Signals, and calls of others: nothing here waits for them. */
  | { readonly kind: 'other' };

/** Answers hold a few paths; 128 MiB would be allowed. */
export const MESSAGE_BYTES_MAX = 256 * 1024;

/** Bytes that are not a D-Bus message, or too large a one. */
export class BusFormatError extends Error {
  override readonly name = 'BusFormatError';
}

const TYPE = { call: 1, reply: 2, error: 3 } as const;
const FIELD = { path: 1, interface: 2, member: 3, errorName: 4, replySerial: 5, destination: 6, signature: 8 } as const;
/** NO_AUTO_START: without it, a name without an owner makes the bus start a program that would own it. */
const FLAGS = 0x02;
const VERSION = 1;
const LITTLE = 0x6c;
const BIG = 0x42;
/** Byte order, type, flags, version, length of the body, serial number, length of the fields. */
const FIXED_BYTES = 16;

/** A method call that starts no program. */
export function encodeCall(call: BusCall, serial: number): Buffer {
  const body = new BusWriter();
  for (const { type, value } of call.args) {
    if (type === 's') body.text(value);
    else body.dictionary(value);
  }
  const content = body.bytes();
  const fields = new BusWriter();
  const field = (code: number, signature: string, text: string) => {
    fields.align(8).byte(code).signature(signature);
    if (signature === 'g') fields.signature(text);
    else fields.text(text);
  };
  field(FIELD.path, 'o', call.path);
  field(FIELD.interface, 's', call.interface);
  field(FIELD.member, 's', call.member);
  field(FIELD.destination, 's', call.destination);
  if (call.args.length > 0) field(FIELD.signature, 'g', call.args.map(({ type }) => type).join(''));
  const named = fields.bytes();
  const head = new BusWriter().byte(LITTLE).byte(TYPE.call).byte(FLAGS).byte(VERSION);
  head.u32(content.length).u32(serial).u32(named.length);
  return Buffer.concat([head.bytes(), named, Buffer.alloc(padding(named.length, 8)), content]);
}

/** The first message in `seen` and what follows it; `undefined`: it is not complete yet. Throws BusFormatError. */
export function takeMessage(seen: Buffer): { readonly message: BusMessage; readonly rest: Buffer } | undefined {
  if (seen.length < FIXED_BYTES) return undefined;
  const order = seen[0];
  if (order !== LITTLE && order !== BIG) throw new BusFormatError('is not a D-Bus message');
  const fixed = new BusReader(seen, order === BIG);
  fixed.at = 4;
  const [bodyBytes, , fieldBytes] = [fixed.u32(), fixed.u32(), fixed.u32()];
  const bodyAt = FIXED_BYTES + fieldBytes + padding(fieldBytes, 8);
  const end = bodyAt + bodyBytes;
  if (end > MESSAGE_BYTES_MAX) throw new BusFormatError(`is longer than ${MESSAGE_BYTES_MAX} bytes`);
  if (seen.length < end) return undefined;
  const fields = fieldsIn(seen.subarray(0, FIXED_BYTES + fieldBytes), order === BIG);
  const body = new BusReader(seen.subarray(bodyAt, end), order === BIG);
  return { message: messageOf(seen[1], fields, body), rest: seen.subarray(end) };
}

interface Fields {
  readonly to: number;
  readonly name: string;
}

function messageOf(type: number | undefined, { to, name }: Fields, body: BusReader): BusMessage {
  if (type === TYPE.reply) return { kind: 'reply', to, body };
  if (type === TYPE.error) return { kind: 'error', to, name };
  return { kind: 'other' };
}

function fieldsIn(head: Buffer, isBig: boolean): Fields {
  const reader = new BusReader(head, isBig);
  reader.at = FIXED_BYTES;
  let [to, name] = [0, ''];
  while (reader.at < head.length) {
    reader.align(8);
    const code = reader.byte();
    const signature = reader.signature();
    const value = reader.basic(signature);
    if (code === FIELD.replySerial) to = Number(value);
    if (code === FIELD.errorName) name = String(value);
  }
  return { to, name };
}

const padding = (length: number, to: number): number => (to - (length % to)) % to;

class BusWriter {
  readonly #parts: Buffer[] = [];
  #length = 0;

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  align(to: number): this {
    return this.#add(Buffer.alloc(padding(this.#length, to)));
  }

  byte(value: number): this {
    return this.#add(Buffer.from([value]));
  }

  u32(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return this.align(4).#add(bytes);
  }

  text(value: string): this {
    const bytes = Buffer.from(value);
    return this.u32(bytes.length).#add(bytes).byte(0);
  }

  signature(value: string): this {
    return this.byte(value.length).#add(Buffer.from(`${value}\0`));
  }

  dictionary(entries: Readonly<Record<string, string>>): this {
    const content = new BusWriter();
    for (const [key, value] of Object.entries(entries)) content.align(8).text(key).text(value);
    // The length does not count the padding in front of the first entry.
    const bytes = content.bytes();
    return this.u32(bytes.length).align(8).#add(bytes);
  }

  #add(bytes: Buffer): this {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return this;
  }
}

/** Reads values in the order in which they were written. Throws BusFormatError where the bytes are too few. */
export class BusReader {
  at = 0;
  readonly #bytes: Buffer;
  readonly #isBig: boolean;

  constructor(bytes: Buffer, isBig: boolean) {
    this.#bytes = bytes;
    this.#isBig = isBig;
  }

  align(to: number): void {
    this.at += padding(this.at, to);
  }

  byte(): number {
    return this.#take(1).readUInt8();
  }

  u32(): number {
    this.align(4);
    const bytes = this.#take(4);
    return this.#isBig ? bytes.readUInt32BE() : bytes.readUInt32LE();
  }

  text(): string {
    const value = this.#take(this.u32()).toString();
    this.byte();
    return value;
  }

  signature(): string {
    const value = this.#take(this.byte()).toString();
    this.byte();
    return value;
  }

  /** A value of a type that stands alone. */
  basic(signature: string): string | number {
    switch (signature) {
      case 's':
      case 'o':
        return this.text();
      case 'g':
        return this.signature();
      case 'u':
      case 'b':
        return this.u32();
      default:
        throw new BusFormatError(`has a ${JSON.stringify(signature)} that is not known here`);
    }
  }

  /** `ao`, an array of paths. */
  paths(): string[] {
    const end = this.u32() + this.at;
    const found: string[] = [];
    while (this.at < end) found.push(this.text());
    return found;
  }

  #take(count: number): Buffer {
    const end = this.at + count;
    if (end > this.#bytes.length) throw new BusFormatError('ends too early');
    const taken = this.#bytes.subarray(this.at, end);
    this.at = end;
    return taken;
  }
}
