import type { Tools } from './tools.ts';

/** Helpers about addresses, and those that look up names. */
export function installNetwork({ define, call, ask, host: hostFunctions }: Tools): void {
  const isAddress = (given: unknown): boolean => {
    const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(`${given}`);
    if (match === null) return false;
    for (let at = 1; at <= 4; at++) if (Number(match[at]) > 255) return false;
    return true;
  };

  /** Signed, as the shift makes it. A part that is not a number counts as 0. */
  const toNumber = (dotted: string): number => {
    const bytes = dotted.split('.');
    const byte = (at: number): number => Number(bytes[at]) & 0xff;
    return (byte(0) << 24) | (byte(1) << 16) | (byte(2) << 8) | byte(3);
  };

  define('convert_addr', toNumber, 'when all calls are');
  // Not a standard helper, but Firefox and Chromium define it for every script.
  define('isValidIpAddress', isAddress, 'when all calls are');

  define(
    'isInNet',
    (host: unknown, pattern: string, mask: string) => {
      if (!isAddress(pattern) || !isAddress(mask)) return false;
      const address = isAddress(host) ? host : call('dnsResolve', host);
      if (address === null || address === undefined) return false;
      const bits = toNumber(`${mask}`);
      return (toNumber(`${address}`) & bits) === (toNumber(`${pattern}`) & bits);
    },
    'when all calls are',
  );

  define(
    'dnsResolve',
    (host: unknown) => (typeof host === 'string' ? ask('dnsResolve', host) : null),
    'in every trace',
  );
  define(
    'dnsResolveEx',
    (host: unknown) => (typeof host === 'string' ? (ask('dnsResolveEx', host) ?? '') : undefined),
    'in every trace',
  );
  define(
    'isResolvable',
    (host: unknown) => {
      const address = call('dnsResolve', host);
      return address !== null && address !== undefined;
    },
    'when all calls are',
  );
  define('isResolvableEx', (host: unknown) => call('dnsResolveEx', host) !== '', 'when all calls are');
  define('myIpAddress', () => ask('myIpAddress', '') ?? '127.0.0.1', 'in every trace');
  define('myIpAddressEx', () => ask('myIpAddressEx', '') ?? '', 'in every trace');

  const isAscii = (text: string): boolean => {
    for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 127) return false;
    return true;
  };

  define(
    'isInNetEx',
    (address: unknown, block: unknown) => {
      if (typeof address !== 'string' || typeof block !== 'string') return null;
      return isAscii(address) && isAscii(block) && hostFunctions.isInBlock(address, block);
    },
    'when all calls are',
  );
  define(
    'sortIpAddressList',
    (list: unknown) => (typeof list === 'string' && isAscii(list) ? hostFunctions.sortAddresses(list) : null),
    'when all calls are',
  );
}
