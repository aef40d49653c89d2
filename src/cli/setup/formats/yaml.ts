import { isDeepStrictEqual } from 'node:util';
import { isMap, isNode, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';
import {
  endedLine,
  type Format,
  FormatError,
  type Key,
  lineAt,
  lineEndOf,
  spliced,
  WRITTEN_OTHERWISE,
} from './format.ts';

/** YAML with mappings in block form. What was changed is read again, and must say what was meant and nothing else. */
export const YAML: Format = {
  name: 'yaml',
  read(text, key) {
    const found = pairAt(rootOf(text), key);
    if (found === undefined) return undefined;
    const [from, to] = rangeOf(found);
    return text.slice(from, to);
  },
  write(text, key, value) {
    const next = written(text, key, value);
    return checked(text, next, key, parseDocument(value).toJS());
  },
  remove(text, key) {
    const pair = pairAt(rootOf(text), key);
    if (pair === undefined) return text;
    const parent = key.slice(0, -1);
    const holder = parent.length === 0 ? undefined : pairAt(rootOf(text), parent);
    if (holder !== undefined && isMap(holder.value) && holder.value.items.length === 1)
      return this.remove(text, parent);
    const [from] = keyRangeOf(pair);
    const lineFrom = text.lastIndexOf('\n', from - 1) + 1;
    if (text.slice(lineFrom, from).trim() !== '') throw new FormatError(WRITTEN_OTHERWISE);
    const lineTo = text.indexOf('\n', Math.max(from, rangeOf(pair)[1] - 1));
    return checked(text, spliced(text, lineFrom, lineTo < 0 ? text.length : lineTo + 1, ''), key, undefined);
  },
};

function written(text: string, key: Key, value: string): string {
  const root = rootOf(text);
  const found = pairAt(root, key);
  if (found !== undefined) return spliced(text, ...rangeOf(found), value);
  const end = lineEndOf(text);
  for (let depth = key.length - 1; depth > 0; depth--) {
    const parent = pairAt(root, key.slice(0, depth));
    if (parent === undefined) continue;
    if (!isMap(parent.value) || parent.value.flow === true) throw new FormatError(WRITTEN_OTHERWISE);
    const [first] = parent.value.items;
    if (first === undefined) throw new FormatError(WRITTEN_OTHERWISE);
    const [at] = keyRangeOf(first);
    const lineFrom = text.lastIndexOf('\n', at - 1) + 1;
    const indent = text.slice(lineFrom, at);
    if (indent.trim() !== '') throw new FormatError(WRITTEN_OTHERWISE);
    const lines = nested(key.slice(depth), value, indent);
    return spliced(text, lineFrom, lineFrom, lines.map((line) => line + end).join(''));
  }
  if (root?.flow === true) throw new FormatError(WRITTEN_OTHERWISE);
  return (
    endedLine(text) +
    nested(key, value, '')
      .map((line) => line + end)
      .join('')
  );
}

const nested = (key: Key, value: string, indent: string): string[] =>
  key.map((name, depth) => {
    const isLast = depth === key.length - 1;
    return `${indent}${'  '.repeat(depth)}${name}:${isLast ? ` ${value}` : ''}`;
  });

function rootOf(text: string): YAMLMap | undefined {
  const document = parseDocument(text, { prettyErrors: false });
  const [first] = document.errors;
  if (first !== undefined) throw new FormatError(`it is not valid YAML (line ${lineAt(text, first.pos[0])})`);
  if (document.contents === null) return undefined;
  if (!isMap(document.contents)) throw new FormatError('it is not a mapping of YAML');
  return document.contents;
}

function pairAt(root: YAMLMap | undefined, key: Key): Pair | undefined {
  let map: unknown = root;
  let found: Pair | undefined;
  for (const name of key) {
    if (!isMap(map)) return undefined;
    found = map.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === name);
    if (found === undefined) return undefined;
    map = found.value;
  }
  return found;
}

function rangeOf({ value }: Pair): [from: number, to: number] {
  if (!isNode(value) || value.range == null) throw new FormatError(WRITTEN_OTHERWISE);
  return [value.range[0], value.range[1]];
}

function keyRangeOf({ key }: Pair): [from: number, to: number] {
  if (!isNode(key) || key.range == null) throw new FormatError(WRITTEN_OTHERWISE);
  return [key.range[0], key.range[1]];
}

function checked(before: string, after: string, key: Key, value: unknown): string {
  const expected = withValue(plainOf(before), key, value);
  if (!isDeepStrictEqual(plainOf(after), expected)) throw new FormatError(WRITTEN_OTHERWISE);
  return after;
}

function plainOf(text: string): unknown {
  const document = parseDocument(text, { prettyErrors: false });
  return document.errors.length > 0 ? undefined : (document.toJS() ?? {});
}

/** A copy of nested records with another value at a key; `undefined` removes it, and the records that it leaves empty. */
export function withValue(record: unknown, key: Key, value: unknown): unknown {
  const [name, ...rest] = key;
  if (name === undefined) return value;
  const before: Record<string, unknown> = typeof record === 'object' && record !== null ? { ...record } : {};
  const inner = withValue(before[name], rest, value);
  if (inner === undefined || (value === undefined && isEmptyRecord(inner))) delete before[name];
  else before[name] = inner;
  return before;
}

const isEmptyRecord = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0;
