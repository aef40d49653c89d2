import { createHash } from 'node:crypto';
import { isAbsolute, join } from 'node:path';
import { decodeText } from '../files/decode-text.ts';
import { FileError } from '../files/file-terms.ts';
import { readFileBounded } from '../files/read-file.ts';
import { redact } from '../util/redact.ts';
import { isRecord, type Path, type Problem, valueAt } from './problems.ts';

/** Half a million names; a mistaken path must not be read into memory. */
const LIST_BYTES_MAX = 16 * 1024 * 1024;
/** Each is watched. */
const LISTS_MAX = 64;
const PREFIX = 'file:';

/** A place where `hosts` may name a file: the map that it stands in. */
interface Holder {
  readonly path: Path;
  readonly map: Record<string | number, unknown>;
}

/** A file of hosts that a setting names. */
export interface HostList {
  /** Of the setting. */
  readonly path: Path;
  readonly file: string;
  /** Differs when the file has other bytes. */
  readonly digest: string;
  /** The line of each host, counted from 1. */
  readonly lines: readonly number[];
}

/** Settings with each list in its place, and what was read for that. */
export interface ExpandedSettings {
  readonly values: unknown;
  readonly lists: readonly HostList[];
  readonly problems: readonly Problem[];
}

/** A relative path of a list means what it means in the folder of the file that names it. Changes `values`. */
export function resolveListPaths(values: unknown, folder: string): void {
  for (const { map } of holdersIn(values)) {
    const file = fileOf(map.hosts);
    if (file !== undefined && file !== '' && !isAbsolute(file)) map.hosts = PREFIX + join(folder, file);
  }
}

/** Puts the hosts of each file into the place of `hosts: file:PATH`. Does not change `values`. */
export function expandHostLists(values: unknown): ExpandedSettings {
  const named = holdersIn(values).flatMap(({ path, map }) => {
    const file = fileOf(map.hosts);
    return file === undefined ? [] : [{ path: [...path, 'hosts'], file }];
  });
  if (named.length === 0) return { values, lists: [], problems: [] };
  const files = new Map<string, ListContents | FileError>();
  const lists: HostList[] = [];
  const problems: Problem[] = [];
  let whole = values;
  for (const { path, file } of named) {
    const known = files.get(file);
    if (known === undefined && files.size === LISTS_MAX) {
      problems.push({ path, message: `names one file more than the ${LISTS_MAX} that lists may come from` });
      break;
    }
    const read = known ?? readList(file);
    files.set(file, read);
    if (read instanceof FileError) {
      problems.push({ path, message: `${redact(file)}: cannot be read: ${read.why}` });
    } else if (read.hosts.length === 0) {
      // As in any list of a rule: an empty list would remove the rule silently.
      problems.push({ path, message: `${redact(file)}: names no host; write one on each line` });
    } else {
      lists.push({ path, file, digest: read.digest, lines: read.lines });
      whole = withValueAt(whole, path, read.hosts);
    }
  }
  return { values: whole, lists, problems };
}

/**
 * The same settings with the digest of each file behind its name, so that settings differ where such a file does. Does
 * not change `values`.
 */
export function withDigests(values: unknown, digests: ReadonlyMap<string, string>): unknown {
  let marked = values;
  for (const { path, map } of holdersIn(values)) {
    const file = fileOf(map.hosts);
    if (file === undefined) continue;
    marked = withValueAt(marked, [...path, 'hosts'], `${map.hosts} ${digests.get(file) ?? ''}`);
  }
  return marked;
}

/** A problem of one host of a list stands in a line of that file. */
export function placedInList({ path, message }: Problem, lists: readonly HostList[]): Problem {
  const list = lists.find((one) => one.path.length < path.length && one.path.every((part, at) => part === path[at]));
  const at = list && path[list.path.length];
  if (list === undefined || typeof at !== 'number') return { path, message };
  return { path: list.path, message: `${redact(list.file)}:${list.lines[at] ?? 0}: ${message}` };
}

const fileOf = (hosts: unknown): string | undefined =>
  typeof hosts === 'string' && hosts.startsWith(PREFIX) ? hosts.slice(PREFIX.length) : undefined;

/** Where `hosts` is a text: in conditions of access rules, in `match` of limits, in rules of routes. */
function holdersIn(values: unknown): Holder[] {
  return [
    ...holdersAt(values, ['access'], ['allow', 'deny']),
    ...holdersAt(values, ['limits', 'bandwidth'], ['match']),
    ...holdersAt(values, ['routes', 'rules'], []),
  ];
}

/** In the maps of a list, or in a single map in its place; `inner`: the keys under which they have conditions. */
function holdersAt(values: unknown, path: Path, inner: readonly string[]): Holder[] {
  const found: Holder[] = [];
  const setting = valueAt(values, path);
  const items: readonly unknown[] = Array.isArray(setting) ? setting : [setting];
  for (let nth = 0; nth < items.length; nth++) {
    const item = items[nth];
    if (!isRecord(item)) continue;
    const at = () => (Array.isArray(setting) ? [...path, nth] : path);
    if (inner.length === 0 && typeof item.hosts === 'string') found.push({ path: at(), map: item });
    for (const key of inner) {
      const map = item[key];
      if (isRecord(map) && typeof map.hosts === 'string') found.push({ path: [...at(), key], map });
    }
  }
  return found;
}

interface ListContents {
  readonly hosts: readonly string[];
  readonly lines: readonly number[];
  readonly digest: string;
}

/** One host a line, in every form that `hosts` has; comments begin with #. */
function readList(file: string): ListContents | FileError {
  let bytes: Buffer;
  try {
    bytes = readFileBounded(file, { bytesMax: LIST_BYTES_MAX, pipes: 'refuse' });
  } catch (error) {
    if (error instanceof FileError) return error;
    throw error;
  }
  const hosts: string[] = [];
  const lines: number[] = [];
  for (const [at, line] of decodeText(bytes).text.split('\n').entries()) {
    const host = line.replace(/#.*/s, '').trim();
    if (host === '') continue;
    hosts.push(host);
    lines.push(at + 1);
  }
  return { hosts, lines, digest: digestOf(bytes) };
}

/** Differs when the bytes of a file do. */
export const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('base64');

/** The same values with another one at a path; only what lies on the way is copied. */
function withValueAt(values: unknown, [first, ...rest]: Path, value: unknown): unknown {
  if (first === undefined) return value;
  if (!isRecord(values)) return values;
  const copy: Record<string | number, unknown> | unknown[] = Array.isArray(values) ? [...values] : { ...values };
  Reflect.set(copy, first, withValueAt(values[first], rest, value));
  return copy;
}
