import { formatIp, parseIp, withoutMapping } from '../addresses/ip-address.ts';
import type { ProxyHeaderProgress } from './progress.ts';

export const V1_BEGINS: Buffer = Buffer.from('PROXY ');
/** The longest line, CRLF included (§2.1). */
const LINE_BYTES_MAX = 107;
const PORT = /^(?:0|[1-9]\d{0,4})$/;

/** `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443` and CRLF; what follows UNKNOWN is not read. */
export function parseProxyHeaderV1(bytes: Buffer): ProxyHeaderProgress {
  const end = bytes.subarray(0, LINE_BYTES_MAX).indexOf('\r\n');
  if (end < 0) {
    return bytes.length < LINE_BYTES_MAX
      ? { at: 'more' }
      : { at: 'malformed', why: `a PROXY line of more than ${LINE_BYTES_MAX} bytes` };
  }
  const length = end + 2;
  const words = bytes.toString('latin1', 0, end).split(' ');
  const [, family, source = '', destination = '', port = '', destinationPort = '', ...more] = words;
  if (family === 'UNKNOWN') return { at: 'header', length, client: undefined };
  const isValid =
    (family === 'TCP4' || family === 'TCP6') &&
    more.length === 0 &&
    isPort(port) &&
    isPort(destinationPort) &&
    parseIp(destination)?.family === familyOf(family);
  const address = parseIp(source);
  if (!isValid || address?.family !== familyOf(family))
    return { at: 'malformed', why: 'a PROXY line that is not valid' };
  return { at: 'header', length, client: { address: formatIp(withoutMapping(address)), port: Number(port) } };
}

const familyOf = (word: 'TCP4' | 'TCP6'): 4 | 6 => (word === 'TCP4' ? 4 : 6);
const isPort = (text: string): boolean => PORT.test(text) && Number(text) <= 65_535;
