import type { Tools } from './tools.ts';

/** Helpers that need the names alone. */
export function installNames({ define, publish, record, host: hostFunctions }: Tools): void {
  define(
    'isPlainHostName',
    (host: unknown) => {
      if (typeof host !== 'string') throw new TypeError('Requires 1 string parameter');
      if (host.includes('.')) return false;
      // An address may have no dot: `::1`, and `2130706433`, which is an IPv4 address to Chromium.
      return !(host.includes(':') || /^[0-9]/.test(host)) || !hostFunctions.isLiteral(host);
    },
    'when all calls are',
  );

  define(
    'dnsDomainIs',
    (host: string, domain: string) => {
      // The usual case is one native call; the other is the browsers' code, for arguments of other types.
      if (typeof host === 'string' && typeof domain === 'string') return host.endsWith(domain);
      return host.length >= domain.length && host.substring(host.length - domain.length) === String(domain);
    },
    'when all calls are',
  );

  define('dnsDomainLevels', (host: string) => host.split('.').length - 1, 'when all calls are');

  define(
    'localHostOrDomainIs',
    (host: string, domain: string) => host === domain || domain.lastIndexOf(`${host}.`, 0) === 0,
    'when all calls are',
  );

  define('getClientVersion', () => '1.0', 'when all calls are');

  // Recorded as the text that a browser shows. Throws what the conversion throws, as in browsers.
  publish('alert', (message: unknown) => record('alert', () => undefined, [`${message}`]));
}
