import { domainToASCII } from 'node:url';
import { formatIp, type IpAddress, parseIp } from '../../protocol/addresses/ip-address.ts';

/**
 * An address as Chromium reads one in a script: IPv6 without brackets, and IPv4 in all the forms that URLs allow, so
 * that `127.1`, `0x7f000001` and `2130706433` are addresses too. Only for helpers: access rules must not read text this way.
 */
export function parseLiteral(text: string): IpAddress | undefined {
  return text.includes(':') ? parseIp(text) : parseLegacyIpv4(text);
}

const PARTS_MAX = 4;

function parseLegacyIpv4(text: string): IpAddress | undefined {
  const parts = text.replace(/\.$/, '').split('.');
  if (parts.length > PARTS_MAX) return undefined;
  const numbers = parts.map(parseNumber);
  const last = numbers.pop() ?? Number.NaN;
  if (!numbers.every((number) => number <= 255)) return undefined;
  // The last number fills the remaining octets.
  if (!(last < 256 ** (PARTS_MAX - numbers.length))) return undefined;
  const value = numbers.reduce((sum, number, at) => sum + number * 256 ** (3 - at), last);
  return { family: 4, octets: [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256) };
}

function parseNumber(text: string): number {
  if (/^0x[0-9a-f]*$/i.test(text)) return text.length === 2 ? 0 : Number(text);
  if (/^0[0-7]*$/.test(text)) return Number.parseInt(text, 8);
  return /^[1-9]\d*$/.test(text) ? Number(text) : Number.NaN;
}

/** `isInNetEx`: an IPv4 address and an IPv6 block are compared as IPv6, the address mapped (`::ffff:1.2.3.4`). */
export function isInBlock(address: string, block: string): boolean {
  const given = parseLiteral(address);
  const [text = '', length = '', ...more] = block.split('/').map((part) => part.trim());
  const network = parseLiteral(text);
  if (!given || !network || more.length > 0 || !/^\d+$/.test(length)) return false;
  const bits = Number(length);
  if (bits > network.octets.length * 8) return false;
  if (given.family === network.family) return hasPrefix(given.octets, network.octets, bits);
  return given.family === 4
    ? hasPrefix(mapped(given), network.octets, bits)
    : hasPrefix(given.octets, mapped(network), bits + 96);
}

const mapped = (address: IpAddress): readonly number[] => [...new Array(10).fill(0), 0xff, 0xff, ...address.octets];

function hasPrefix(octets: readonly number[], prefix: readonly number[], bits: number): boolean {
  for (let at = 0; at < bits; at++) {
    const mask = 0x80 >> (at & 7);
    if (((octets[at >> 3] ?? 0) & mask) !== ((prefix[at >> 3] ?? 0) & mask)) return false;
  }
  return true;
}

/** `sortIpAddressList`: IPv6 first, each family by value, spelled as given. `false`: an entry is not an address, or the list is empty. */
export function sortAddresses(list: string): string | false {
  const texts = list.replace(/[ \t]/g, '').split(';').filter(Boolean);
  const entries = texts.map((text) => ({ text, address: parseLiteral(text) }));
  if (entries.length === 0 || entries.some(({ address }) => address === undefined)) return false;
  const key = ({ address }: { address: IpAddress | undefined }): string =>
    `${address?.family === 6 ? 0 : 1}${address?.octets.map((octet) => octet.toString(16).padStart(2, '0')).join('')}`;
  return entries
    .sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0))
    .map(({ text }) => text)
    .join(';');
}

/** Longest name that is resolved (RFC 1035 §2.3.4), including the root dot. */
const NAME_LENGTH_MAX = 254;

/** The name as the resolver takes it; `undefined`: the text is not a valid name. */
export function nameToResolve(text: string): string | undefined {
  const ascii = /[^\x00-\x7f]/.test(text) ? domainToASCII(text) : text.toLowerCase();
  return ascii.length <= NAME_LENGTH_MAX && /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?$/.test(ascii) ? ascii : undefined;
}

/** The address that a literal stands for, as text; `undefined` for a name. */
export function literalAddress(text: string): string | undefined {
  const address = parseLiteral(text);
  return address && formatIp(address);
}
