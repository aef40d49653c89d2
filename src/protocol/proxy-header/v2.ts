import { formatIp, withoutMapping } from '../addresses/ip-address.ts';
import { crc32c } from './crc32c.ts';
import type { ProxyHeaderProgress } from './progress.ts';

export const V2_SIGNATURE: Buffer = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const FIXED_BYTES = 16;
/** Addresses and TLVs; the format allows 64 KiB, and what balancers send stays below a kilobyte. */
const REST_BYTES_MAX = 4_096;

const LOCAL = 0x20;
const PROXY = 0x21;
/** Bytes of the addresses, by family and transport; only streams come over TCP. */
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [0x00, 0],
  [0x11, 12],
  [0x21, 36],
  [0x31, 216],
]);
const TCP4 = 0x11;
const TCP6 = 0x21;

const CRC32C = 0x03;
const TLV_HEAD_BYTES = 3;
const CRC_BYTES = 4;

/** The binary header (§2.2). */
export function parseProxyHeaderV2(bytes: Buffer): ProxyHeaderProgress {
  const command = bytes[12];
  const family = bytes[13];
  if (command !== undefined && command !== LOCAL && command !== PROXY)
    return malformed(`a PROXY header with version and command ${command}`);
  const addressBytes = family === undefined ? 0 : ADDRESS_BYTES.get(family);
  if (addressBytes === undefined) return malformed(`a PROXY header with family and transport ${family}`);
  if (bytes.length < FIXED_BYTES) return { at: 'more' };
  const restBytes = bytes.readUInt16BE(14);
  if (restBytes < addressBytes) return malformed('a PROXY header that is too short for its addresses');
  if (restBytes > REST_BYTES_MAX) return malformed(`a PROXY header of more than ${REST_BYTES_MAX} bytes`);
  const length = FIXED_BYTES + restBytes;
  if (bytes.length < length) return { at: 'more' };
  const header = bytes.subarray(0, length);
  const fault = faultInTlvs(header, FIXED_BYTES + addressBytes);
  if (fault !== undefined) return malformed(fault);
  const isNamed = command === PROXY && (family === TCP4 || family === TCP6);
  return { at: 'header', length, client: isNamed ? clientIn(header, family === TCP4 ? 4 : 16) : undefined };
}

function clientIn(header: Buffer, bytes: 4 | 16) {
  const octets = [...header.subarray(FIXED_BYTES, FIXED_BYTES + bytes)];
  const address = formatIp(withoutMapping({ family: bytes === 4 ? 4 : 6, octets }));
  return { address, port: header.readUInt16BE(FIXED_BYTES + 2 * bytes) };
}

/** All are skipped but the checksum, which covers the whole header with its own bytes as zeros. */
function faultInTlvs(header: Buffer, from: number): string | undefined {
  for (let at = from; at < header.length; ) {
    if (header.length < at + TLV_HEAD_BYTES) return TORN;
    const length = header.readUInt16BE(at + 1);
    const value = at + TLV_HEAD_BYTES;
    if (header.length < value + length) return TORN;
    if (header[at] === CRC32C && (length !== CRC_BYTES || header.readUInt32BE(value) !== checksumOf(header, value)))
      return 'a PROXY header whose checksum is wrong';
    at = value + length;
  }
  return undefined;
}
const TORN = 'a PROXY header whose TLVs do not fit';

function checksumOf(header: Buffer, at: number): number {
  const zeroed = Buffer.from(header);
  zeroed.fill(0, at, at + CRC_BYTES);
  return crc32c(zeroed);
}

const malformed = (why: string): ProxyHeaderProgress => ({ at: 'malformed', why });
