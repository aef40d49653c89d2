import type { IpAddress } from './ip-address.ts';

/** As /proc/net/tcp has it: each 32 bits in the order of this machine's bytes, which is the least significant first. */
export function kernelAddress({ octets }: IpAddress): string {
  const bytes = Buffer.from(octets);
  const words: string[] = [];
  for (let at = 0; at < bytes.length; at += 4) words.push(hexDigits(bytes.readUInt32LE(at), 8));
  return words.join('');
}

/** As ports and words stand there. */
export const hexDigits = (value: number, digits: number): string =>
  value.toString(16).toUpperCase().padStart(digits, '0');
