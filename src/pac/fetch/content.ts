import { unlessAborted } from '../../contracts/deadline.ts';
import { FileError } from '../../files/file-terms.ts';
import { readFileAsync } from '../../files/read-file.ts';
import type { PacLocation } from '../discovery/locate.ts';
import type { PacScript } from '../script.ts';
import { decodeScript } from './charset.ts';
import { readDataUrl } from './data-url.ts';
import { type FetchScope, fetchScript, SCRIPT_BYTES_MAX, type Validators } from './fetcher.ts';
import type { Inspect } from './inspect.ts';

/** A file is also watched; this is for network shares, links and folders where a watch reports no change. */
const FILE_FRESH_MS = 60_000;

/** A script as it was read from its location. */
export interface Content {
  readonly text: string;
  /** `pac` when it could not have been changed on the way; how far the location itself is trusted is not part of it. */
  readonly namedBy: PacScript['namedBy'];
  readonly validators: Validators | undefined;
}
export interface FreshContent extends Content {
  /** When to read it again; `undefined`: it cannot change. */
  readonly freshMs: number | undefined;
}

/** The lower of two levels of trust. */
const leastTrusted = (one: PacScript['namedBy'], other: PacScript['namedBy']): PacScript['namedBy'] =>
  one === 'pac' ? other : one;

/** Trusted as far as both its location and the way from there. */
export const scriptFrom = (location: PacLocation, { text, namedBy }: Content, readMs: number): PacScript => ({
  text,
  source: location.shown,
  namedBy: leastTrusted(location.namedBy, namedBy),
  readMs,
});

/**
 * Reads and inspects. `known`: what was read from there before. Rejects with an Error whose message is shown to the user,
 * or with the signal's reason.
 */
export async function readLocation(
  location: PacLocation,
  known: Content | undefined,
  { signal, isSelf, secure, inspect }: Omit<FetchScope, 'resolve'> & { readonly inspect: Inspect },
): Promise<FreshContent> {
  const { resolve } = location;
  const content = await unlessAborted(contentOf(location, known, { signal, isSelf, secure, resolve }), signal);
  if (content.text === known?.text) return { ...content, text: known.text };
  const fault = await inspect(content.text, signal);
  if (fault === undefined) return content;
  throw new Error(`it ${fault}`);
}

async function contentOf(location: PacLocation, known: Content | undefined, scope: FetchScope): Promise<FreshContent> {
  const { address } = location;
  if (address.kind === 'data') {
    return { text: dataText(address.url), namedBy: 'pac', validators: undefined, freshMs: undefined };
  }
  if (address.kind === 'file') {
    const text = await fileText(address.path);
    return { text, namedBy: 'pac', validators: undefined, freshMs: FILE_FRESH_MS };
  }
  const fetched = await fetchScript(address.url, known?.validators, scope);
  if (fetched.kind === 'script') return fetched;
  if (known === undefined) throw new Error('the server responds with 304 to a request without a condition');
  return { ...known, namedBy: leastTrusted(known.namedBy, fetched.namedBy), freshMs: fetched.freshMs };
}

function dataText(url: string): string {
  const content = readDataUrl(url);
  if (content === undefined) throw new Error('it is not a valid data: URL');
  if (content.bytes.length > SCRIPT_BYTES_MAX) throw new Error(`it is larger than ${SCRIPT_BYTES_MAX} bytes`);
  return decodeScript(content.bytes, content.charset);
}

async function fileText(path: string): Promise<string> {
  try {
    return decodeScript(await readFileAsync(path, { bytesMax: SCRIPT_BYTES_MAX }), '');
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    throw new Error(error.code === 'EFBIG' ? `it is larger than ${SCRIPT_BYTES_MAX} bytes` : error.why, {
      cause: error,
    });
  }
}
