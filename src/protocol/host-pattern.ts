import { formatIp, parseIp, withoutMapping } from './ip-address.ts';

/** Whether a host, given as `hostKey` writes it, is meant. */
export type HostPattern = (host: string) => boolean;

/** One spelling for all spellings of a host: lower case, no trailing dot, no brackets, addresses as RFC 5952 has them. */
export function hostKey(host: string): string {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  const address = parseIp(bare);
  if (address) return formatIp(withoutMapping(address));
  return (bare.endsWith('.') ? bare.slice(0, -1) : bare).toLowerCase();
}

/**
 * `name` means exactly that host, `.name` that domain and everything below it, and `*` in a pattern any run of
 * characters. Throws an Error with a plain sentence when `text` is none of these.
 */
export function hostPattern(text: string): HostPattern {
  const pattern = hostKey(text.trim());
  if (pattern === '' || pattern === '.' || /[\s/@?#]/.test(pattern)) {
    throw new Error(`${JSON.stringify(text)} is not a host pattern; write for example www.example.com or .example.com`);
  }
  if (pattern.includes('*')) return glob(pattern.split('*'));
  if (pattern.startsWith('.')) return (host) => host.endsWith(pattern) || host === pattern.slice(1);
  return (host) => host === pattern;
}

/**
 * The pieces between the stars, found left to right. Taking the first place of each piece is enough, because a star
 * gives way to anything; a regular expression would try all places, in exponential time for a hostile host name.
 */
function glob(pieces: readonly string[]): HostPattern {
  const [first = '', ...others] = pieces;
  const last = others.pop() ?? '';
  return (host) => {
    if (!host.startsWith(first)) return false;
    let at = first.length;
    for (const piece of others) {
      const found = host.indexOf(piece, at);
      if (found < 0) return false;
      at = found + piece.length;
    }
    return host.length - at >= last.length && host.endsWith(last);
  };
}
