import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where a PAC script lies. */
export type PacAddress =
  | { readonly kind: 'http'; readonly url: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'data'; readonly url: string };

/** One letter before the colon is a drive of Windows. */
const SCHEME = /^([a-z][a-z0-9+.-]+):/i;

/** A URL, or a path where it names no scheme. `undefined`: a script cannot lie there. */
export function pacAddress(text: string): PacAddress | undefined {
  switch (SCHEME.exec(text)?.[1]?.toLowerCase()) {
    case undefined:
      return { kind: 'file', path: resolve(text) };
    case 'http':
    case 'https':
      return URL.canParse(text) ? { kind: 'http', url: new URL(text).href } : undefined;
    case 'file':
      return fileAddress(text);
    case 'data':
      return { kind: 'data', url: text };
    default:
      return undefined;
  }
}

function fileAddress(url: string): PacAddress | undefined {
  try {
    return { kind: 'file', path: fileURLToPath(url) };
  } catch {
    // Another machine's file, or a path that no file can have.
    return undefined;
  }
}

/** For people: a password has no place there, and neither has a query, where tokens are. */
export function shownAddress(address: PacAddress): string {
  if (address.kind === 'file') return address.path;
  if (address.kind === 'data') return 'a data: URL';
  const { origin, pathname, search } = new URL(address.url);
  return `${origin}${pathname}${search === '' ? '' : '?…'}`;
}
