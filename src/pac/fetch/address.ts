import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { redact } from '../../util/redact.ts';

/** Where a PAC script is. */
export type PacAddress =
  | { readonly kind: 'http'; readonly url: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'data'; readonly url: string };

/** One letter before the colon is a drive of Windows. */
const SCHEME = /^([a-z][a-z0-9+.-]+):/i;

/** A URL, or a path where the text has no scheme. `undefined`: a PAC cannot be read from there. */
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
    // A file on another machine, or an invalid path.
    return undefined;
  }
}

/** The value of `routes.pac` for messages. */
export function shownPac(pac: string): string {
  const address = pac === 'auto' || pac === 'system' ? undefined : pacAddress(pac);
  return address === undefined ? redact(pac) : shownAddress(address);
}

/** For messages: without the password, and without the query, which may hold a token. */
export function shownAddress(address: PacAddress): string {
  if (address.kind === 'file') return redact(address.path);
  if (address.kind === 'data') return 'a data: URL';
  const { origin, pathname, search } = new URL(address.url);
  return `${origin}${pathname}${search === '' ? '' : '?…'}`;
}
