import { isDeepStrictEqual } from 'node:util';
import { parse, TomlError } from 'smol-toml';
import { type Format, FormatError, type Key, WRITTEN_OTHERWISE } from './format.ts';
import { linesFormat } from './lines.ts';
import { withValue } from './yaml.ts';

/** Tables and keys that stand on lines of their own. */
const LINES = linesFormat({
  name: 'toml',
  setting(line) {
    const match = /^(\s*("?)([\w-]+)\2\s*=\s*)/.exec(line);
    return match === null ? undefined : { key: match[3] ?? '', valueAt: match[1]?.length ?? 0 };
  },
  line: (key, value) => `${key} = ${value}`,
  header(line) {
    // One of an array, such as [[index]], is no table that a key names.
    const match = /^\s*\[(\[?[^[\]]+)\]/.exec(line);
    return match === null ? undefined : { section: (match[1] ?? '').trim(), restAt: line.length };
  },
  headerLine: (section) => `[${section}]`,
  mask: (text) => text.replace(/"""[\s\S]*?"""|'''[\s\S]*?'''/g, (string) => '"'.repeat(string.length)),
});

/** TOML. What was changed is read again, and must say what was meant and nothing else. */
export const TOML: Format = {
  name: 'toml',
  read(text, key) {
    const value = valueAt(parsed(text), key);
    if (value === undefined) return undefined;
    const raw = LINES.read(text, key);
    // Inline tables and dotted keys say it elsewhere.
    if (raw === undefined) throw new FormatError(WRITTEN_OTHERWISE);
    return raw;
  },
  write(text, key, value) {
    this.read(text, key);
    return checked(text, LINES.write(text, key, value), key, valueAt(parsed(`value = ${value}`), ['value']));
  },
  remove: (text, key) => checked(text, LINES.remove(text, key), key, undefined),
};

function parsed(text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof TomlError) throw new FormatError(`it is not valid TOML (line ${error.line})`);
    throw error;
  }
}

const valueAt = (record: unknown, key: Key): unknown =>
  key.reduce<unknown>((at, name) => (typeof at === 'object' && at !== null ? Object(at)[name] : undefined), record);

function checked(before: string, after: string, key: Key, value: unknown): string {
  const expected = withValue(plain(parsed(before)), key, value);
  if (!isDeepStrictEqual(orNothing(after), expected)) throw new FormatError(WRITTEN_OTHERWISE);
  return after;
}

function orNothing(text: string): unknown {
  try {
    return plain(parse(text));
  } catch {
    return undefined;
  }
}

/** Records with a prototype, as comparisons want them. */
const plain = (value: unknown): unknown => structuredClone(value);
