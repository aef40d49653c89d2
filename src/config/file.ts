import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { ConfigError, type Path, pathText } from './problems.ts';
import { isPacPath } from './routes.ts';

/** Bigger than any configuration a person writes; a mistaken path to a disk image must not be read into memory. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

/** Settings whose text is a path, so that it can be taken relative to the file that holds it. */
const PATHS: readonly { readonly path: Path; readonly isPath: (text: string) => boolean }[] = [
  { path: ['clients', 'users'], isPath: () => true },
  { path: ['log', 'file'], isPath: () => true },
  { path: ['limits', 'state'], isPath: () => true },
  { path: ['routes', 'pac'], isPath: isPacPath },
];

/** A configuration file as it was written: plain values, and the line of each. */
export interface ConfigFile {
  /** As the user named it. */
  readonly name: string;
  readonly text: string;
  readonly values: unknown;
  /** Line of the setting at a path; of what surrounds it where the setting itself is not written. */
  lineAt(path: Path): number;
}

/** Reads a YAML or JSON file. Throws ConfigError when it cannot be read or parsed. */
export function readConfigFile(name: string): ConfigFile {
  return parseConfigFile(readText(name), name);
}

export function readText(name: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(name);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new ConfigError([`${name}: cannot be read: ${READING[code] ?? code}`]);
  }
  if (bytes.length > FILE_BYTES_MAX) throw new ConfigError([`${name}: is larger than 16 MiB: no configuration file`]);
  return bytes.toString('utf8');
}

const READING: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user may not read it',
  EISDIR: 'it is a folder',
};

export function parseConfigFile(text: string, name: string): ConfigFile {
  const counter = new LineCounter();
  // JSON is YAML, so one parser reads both and knows the line of everything.
  const document = parseDocument(text, { lineCounter: counter, merge: true, prettyErrors: false });
  const lineOf = (offset: number) => counter.linePos(offset).line;
  const broken = [...document.errors, ...document.warnings][0];
  if (broken !== undefined) throw new ConfigError([`${name}:${lineOf(broken.pos[0])}: ${syntaxText(broken)}`]);
  const nodeOf = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);
  const lineAt = (path: Path): number => {
    let node = nodeOf(document.contents);
    let line = offsetLine(node, lineOf) ?? 1;
    for (const part of path) {
      const found = childOf(node, part);
      if (found === undefined) break;
      line = offsetLine(found.at, lineOf) ?? line;
      node = nodeOf(found.value);
    }
    return line;
  };
  const values: unknown = withPathsFrom(dirname(name), plainValues(document, name) ?? {});
  if (!isPlainMap(values)) {
    throw new ConfigError([`${name}:${lineAt([])}: has no settings of the form \`key: value\``]);
  }
  return { name, text, values, lineAt };
}

/** A few aliases of aliases make gigabytes of a short text; the parser counts them and gives up. */
function plainValues(document: Document, name: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new ConfigError([`${name}: ${error instanceof Error ? error.message : String(error)}`]);
  }
}

function childOf(node: unknown, part: string | number): { at: unknown; value: unknown } | undefined {
  if (isMap(node)) {
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
    return pair && { at: pair.key, value: pair.value };
  }
  if (isSeq(node) && typeof part === 'number' && part < node.items.length) {
    return { at: node.items[part], value: node.items[part] };
  }
  return undefined;
}

function offsetLine(node: unknown, lineOf: (offset: number) => number): number | undefined {
  const range = (node as Partial<Node> | null | undefined)?.range;
  return range == null ? undefined : lineOf(range[0]);
}

function syntaxText(error: { readonly code: string; readonly message: string }): string {
  if (error.code === 'DUPLICATE_KEY') return 'the same setting is written twice; keep one of the two';
  if (error.code === 'TAB_AS_INDENT') return 'a tab indents this line; YAML wants spaces';
  return `is not valid YAML: ${error.message.replace(/\s+/g, ' ')}`;
}

/** Relative paths in a file mean what they mean beside it, wherever the program was started. */
function withPathsFrom(folder: string, values: unknown): unknown {
  if (!isPlainMap(values)) return values;
  for (const { path, isPath } of PATHS) {
    const holder = path.slice(0, -1).reduce<unknown>((at, part) => (isPlainMap(at) ? at[part] : undefined), values);
    const key = String(path.at(-1));
    if (!isPlainMap(holder)) continue;
    const text = holder[key];
    if (typeof text === 'string' && text !== '' && isPath(text) && !isAbsolute(text)) holder[key] = join(folder, text);
  }
  for (const account of isPlainMap(values.credentials) ? Object.values(values.credentials) : []) {
    if (isPlainMap(account)) account.from = secretFrom(folder, account.from);
    if (isPlainMap(account) && account.from === undefined) delete account.from;
  }
  for (const upstream of Array.isArray(values.upstreams) ? values.upstreams : []) {
    if (!isPlainMap(upstream) || typeof upstream.ca !== 'string' || upstream.ca === '') continue;
    if (!isAbsolute(upstream.ca)) upstream.ca = join(folder, upstream.ca);
  }
  if (Array.isArray(values.listen)) values.listen = values.listen.map((one) => socketFrom(folder, one));
  else values.listen = socketFrom(folder, values.listen);
  if (values.listen === undefined) delete values.listen;
  return values;
}

function secretFrom(folder: string, from: unknown): unknown {
  if (typeof from !== 'string' || !from.startsWith('file:')) return from;
  const path = from.slice('file:'.length);
  return path === '' || isAbsolute(path) ? from : `file:${join(folder, path)}`;
}

function socketFrom(folder: string, listen: unknown): unknown {
  if (typeof listen !== 'string' || !listen.startsWith('unix:')) return listen;
  const path = listen.slice('unix:'.length);
  return isAbsolute(path) ? listen : `unix:${join(folder, path)}`;
}

function isPlainMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `viaduct.yaml:12: limits.rate: message`. */
export function problemInFile(file: ConfigFile, path: Path, message: string): string {
  const place = `${file.name}:${file.lineAt(path)}`;
  return path.length === 0 ? `${place}: ${message}` : `${place}: ${pathText(path)}: ${message}`;
}
