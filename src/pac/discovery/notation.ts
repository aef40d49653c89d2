import { parseProxyUrl } from '../../protocol/routes/proxy-url.ts';

/** Converts proxies and exceptions from the notation of systems to that of `routes`. */

/** `undefined` for a text that is not a valid proxy: an incomplete setting counts as none. */
export function proxyText(given: string | undefined, scheme = 'http'): string | undefined {
  const text = (given ?? '').trim().replace(/\/+$/, '');
  if (text === '') return undefined;
  // `socks://` has no version: today's servers speak SOCKS5.
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text.replace(/^socks:/i, 'socks5:') : `${scheme}://${text}`;
  try {
    parseProxyUrl(url, 'user');
    return url;
  } catch {
    return undefined;
  }
}

/** `undefined` where no host is set, also when a port is. */
export function hostAndPort(host: string | undefined, port: string | undefined, scheme: string): string | undefined {
  const name = (host ?? '').trim();
  if (name === '') return undefined;
  const written = name.includes(':') && !/^\[|:\/\//.test(name) ? `[${name}]` : name;
  return proxyText(/^[1-9]\d*$/.test(port ?? '') ? `${written}:${port}` : written, scheme);
}

/**
 * An exception in the grammar of `NO_PROXY`. Windows and macOS write blocks as `10.*` and `169.254/16`, and domains as
 * `*.corp.example`; Windows also takes a scheme in front.
 */
export function exceptionText(given: string): string {
  const text = given.trim().replace(/^[a-z]+:\/\//i, '');
  const [, octets = '', bits] = /^((?:\d{1,3}\.){0,3}\d{1,3})\.?(?:\/(\d{1,2})|(?:\.\*)+)$/.exec(text) ?? [];
  if (octets !== '') {
    const known = octets.split('.');
    const padded = [...known, '0', '0', '0'].slice(0, 4).join('.');
    return `${padded}/${bits ?? known.length * 8}`;
  }
  return /^\*\.[^*]+$/.test(text) ? text.slice(1) : text;
}

export const exceptions = (given: readonly string[]): string[] =>
  given.map(exceptionText).filter((entry) => entry !== '');
