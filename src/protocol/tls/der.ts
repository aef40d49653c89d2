/** One element of DER (X.690), the encoding of SPNEGO tokens and certificates. */
export interface DerElement {
  readonly tag: number;
  readonly content: Buffer;
  /** Head and content, as in the message. */
  readonly whole: Buffer;
}

/** Elements of one level. Neither a SPNEGO token nor the parts of a certificate that are read have more. */
const ELEMENTS_MAX = 64;

export const OCTET_STRING = 0x04;
export const OBJECT_ID = 0x06;
export const ENUMERATED = 0x0a;
export const SEQUENCE = 0x30;
/** `[0] EXPLICIT` and so on. */
export const tagged = (number: number): number => 0xa0 | number;

/** The element at the start of `bytes`; `undefined`: it does not end within them, or is not DER. */
export function readElement(bytes: Buffer): DerElement | undefined {
  const tag = bytes[0];
  const first = bytes[1];
  // Tags of several bytes and lengths without an end (BER) occur in neither format.
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f || first === 0x80) return undefined;
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (lengthBytes > 4 || bytes.length < 2 + lengthBytes) return undefined;
  const head = 2 + lengthBytes;
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(2, lengthBytes);
  if (bytes.length < head + length) return undefined;
  return { tag, content: bytes.subarray(head, head + length), whole: bytes.subarray(0, head + length) };
}

/** All elements of one level; `undefined`: other bytes are between them, or there are too many. */
export function readElements(bytes: Buffer): readonly DerElement[] | undefined {
  const elements: DerElement[] = [];
  for (let at = 0; at < bytes.length; ) {
    const element = readElement(bytes.subarray(at));
    if (element === undefined || elements.length === ELEMENTS_MAX) return undefined;
    elements.push(element);
    at += element.whole.length;
  }
  return elements;
}

/** The content of the only element in `bytes`, when it has this tag. */
export function onlyContent(bytes: Buffer, tag: number): Buffer | undefined {
  const element = readElement(bytes);
  return element?.tag === tag && element.whole.length === bytes.length ? element.content : undefined;
}

export function encodeElement(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const hex = content.length.toString(16);
  const length = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, content]);
}

/** `1.2.840.113554.1.2.2`; the numbers that occur fit in a double. */
export function objectIdText(content: Buffer): string {
  const numbers: number[] = [];
  let number = 0;
  for (const byte of content) {
    number = number * 128 + (byte & 0x7f);
    if (byte & 0x80) continue;
    numbers.push(number);
    number = 0;
  }
  const [first = 0, ...rest] = numbers;
  const root = Math.min(2, Math.floor(first / 40));
  return [root, first - 40 * root, ...rest].join('.');
}

export function encodeObjectId(text: string): Buffer {
  const [root = 0, second = 0, ...rest] = text.split('.').map(Number);
  const bytes = [40 * root + second, ...rest].flatMap((number) => {
    const digits = [number % 128];
    for (let left = Math.floor(number / 128); left > 0; left = Math.floor(left / 128))
      digits.unshift((left % 128) | 0x80);
    return digits;
  });
  return encodeElement(OBJECT_ID, Buffer.from(bytes));
}
