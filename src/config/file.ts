import { dirname, isAbsolute, join } from 'node:path';
import { type DecodedText, decodeText } from '../files/decode-text.ts';
import { FileError, type ReadTerms } from '../files/file-terms.ts';
import { readFileBounded } from '../files/read-file.ts';
import { redact } from '../util/redact.ts';
import { resolveListPaths } from './host-lists.ts';
import { plainJson } from './parsing/plain-json.ts';
import { plainYaml } from './parsing/plain-yaml.ts';
import { parseYamlDocument, type YamlDocument } from './parsing/yaml-document.ts';
import { ConfigError, type Path, pathText } from './problems.ts';
import { isPacPath } from './routes.ts';

/** Bigger than any configuration a person writes; a mistaken path to a disk image must not be read into memory. */
export const FILE_BYTES_MAX = 16 * 1024 * 1024;

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
  readonly values: unknown;
  /** Nothing but comments: neither settings nor `{}`, which says that there are none. */
  readonly isEmpty: boolean;
  /** Line of the setting at a path; of what surrounds it where the setting itself is not written. */
  lineAt(path: Path): number;
}

/** The text of a file that the user has named, and how it was written. Throws ConfigError. */
export const readDecoded = (name: string): DecodedText => decodeText(readBytes(name));

/** Throws ConfigError. */
export function readBytes(name: string, pipes: ReadTerms['pipes'] = 'wait'): Buffer {
  try {
    return readFileBounded(name, { bytesMax: FILE_BYTES_MAX, pipes });
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    const isTooLarge = error.code === 'EFBIG';
    throw new ConfigError([
      `${redact(name)}: ${isTooLarge ? 'is larger than 16 MiB, too large for a configuration file' : `cannot be read: ${error.why}`}`,
    ]);
  }
}

/** A YAML or JSON file, which has its name for paths and messages. Throws ConfigError when it cannot be parsed. */
export const readConfig = (bytes: Buffer, name: string): ConfigFile => parseConfigFile(decodeText(bytes).text, name);

/** What most files hold is read in a short way, which knows no lines; mistakes and the rest by the parser of YAML. */
export function parseConfigFile(text: string, name: string): ConfigFile {
  const plain = plainJson(text) ?? plainYaml(text);
  let written: YamlDocument | undefined;
  const document = (): YamlDocument => {
    written ??= parseYamlDocument(text, name);
    return written;
  };
  const read = plain === undefined ? document().values() : plain.values;
  const values: unknown = withPathsFrom(dirname(name), read ?? {});
  if (!isPlainMap(values)) {
    throw new ConfigError([`${name}:${document().lineAt([])}: has no settings of the form \`key: value\``]);
  }
  return {
    name,
    values,
    isEmpty: read === null || read === undefined,
    lineAt: (path) => document().lineAt(path),
  };
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
  resolveListPaths(values, folder);
  return values;
}

function secretFrom(folder: string, from: unknown): unknown {
  if (typeof from !== 'string' || !from.startsWith('file:')) return from;
  const path = from.slice('file:'.length);
  return path === '' || isAbsolute(path) ? from : `file:${join(folder, path)}`;
}

function socketFrom(folder: string, listen: unknown): unknown {
  if (isPlainMap(listen)) {
    const url = socketFrom(folder, listen.url);
    return {
      ...listen,
      ...(url !== undefined && { url }),
      ...('tls' in listen && { tls: tlsFrom(folder, listen.tls) }),
    };
  }
  if (typeof listen !== 'string' || !listen.startsWith('unix:')) return listen;
  const path = listen.slice('unix:'.length);
  return isAbsolute(path) ? listen : `unix:${join(folder, path)}`;
}

/** Every text in `tls` that is a path is one of a PEM file. */
function tlsFrom(folder: string, tls: unknown): unknown {
  if (!isPlainMap(tls)) return tls;
  const entries = Object.entries(tls).map(([key, value]): [string, unknown] => {
    if (key === 'certificates' && Array.isArray(value)) return [key, value.map((one) => tlsFrom(folder, one))];
    const isPath = PEM_FILES.has(key) && typeof value === 'string' && value !== '' && !isAbsolute(value);
    return [key, isPath ? join(folder, value) : value];
  });
  return Object.fromEntries(entries);
}
const PEM_FILES: ReadonlySet<string> = new Set(['cert', 'key', 'clientCa', 'clientCrl']);

function isPlainMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `viaduct.yaml:12: limits.rate: message`. */
export function problemInFile(file: ConfigFile, path: Path, message: string): string {
  const place = `${file.name}:${file.lineAt(path)}`;
  return path.length === 0 ? `${place}: ${message}` : `${place}: ${pathText(path)}: ${message}`;
}
