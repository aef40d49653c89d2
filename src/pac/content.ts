import type { Stats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { unlessAborted } from '../core/deadline.ts';
import { decodeScript } from './charset.ts';
import { readDataUrl } from './data-url.ts';
import { type FetchScope, fetchScript, SCRIPT_BYTES_MAX, type Validators } from './fetcher.ts';
import type { Inspect } from './inspect.ts';
import type { Place } from './locate.ts';
import type { PacScript } from './script.ts';

/** A file is watched, too; this is for shares, links and folders where no watch tells of a change. */
const FILE_FRESH_MS = 60_000;

/** A script as a place gave it. */
export interface Content {
  readonly text: string;
  readonly namedBy: PacScript['namedBy'];
  readonly validators: Validators | undefined;
}
export interface FreshContent extends Content {
  /** When to look again; `undefined`: it cannot change. */
  readonly freshMs: number | undefined;
}

/** Reads and inspects. `known` is what the place gave before. Rejects with an Error for people, or the signal's reason. */
export async function readPlace(
  place: Place,
  known: Content | undefined,
  { signal, isSelf, inspect }: Pick<FetchScope, 'signal' | 'isSelf'> & { readonly inspect: Inspect },
): Promise<FreshContent> {
  const { resolve } = place;
  const content = await unlessAborted(contentOf(place, known, { signal, isSelf, resolve }), signal);
  if (content.text === known?.text) return { ...content, text: known.text };
  const wrong = await inspect(content.text, signal);
  if (wrong === undefined) return content;
  throw new Error(`it ${wrong}`);
}

async function contentOf(place: Place, known: Content | undefined, scope: FetchScope): Promise<FreshContent> {
  const { address, namedBy } = place;
  if (address.kind === 'data') {
    return { text: dataText(address.url), namedBy, validators: undefined, freshMs: undefined };
  }
  if (address.kind === 'file') {
    const text = await fileText(address.path, scope.signal);
    return { text, namedBy, validators: undefined, freshMs: FILE_FRESH_MS };
  }
  const fetched = await fetchScript(address.url, known?.validators, scope);
  if (fetched.kind === 'script') {
    return { ...fetched, namedBy: namedBy === 'pac' ? fetched.namedBy : namedBy };
  }
  if (known === undefined) throw new Error('the server says that nothing has changed since never');
  return { ...known, freshMs: fetched.freshMs };
}

function dataText(url: string): string {
  const content = readDataUrl(url);
  if (content === undefined) throw new Error('it holds no script');
  if (content.bytes.length > SCRIPT_BYTES_MAX) throw new Error(`it is larger than ${SCRIPT_BYTES_MAX} bytes`);
  return decodeScript(content.bytes, content.charset);
}

async function fileText(path: string, signal: AbortSignal): Promise<string> {
  // A pipe or a device would never end.
  const status = await statOf(path);
  if (!status.isFile()) throw new Error('it is no regular file');
  if (status.size > SCRIPT_BYTES_MAX) throw new Error(`it is larger than ${SCRIPT_BYTES_MAX} bytes`);
  return decodeScript(await readFile(path, { signal }), '');
}

const NOT_THERE: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'this user may not read it',
};
async function statOf(path: string): Promise<Stats> {
  try {
    return await stat(path);
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? NOT_THERE[String(cause.code)] : undefined;
    throw why === undefined ? cause : new Error(why, { cause });
  }
}
