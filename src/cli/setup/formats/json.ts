import { applyEdits, findNodeAtLocation, modify, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';
import { type Format, FormatError, type Key, lineAt, lineEndOf, spliced, WRITTEN_OTHERWISE } from './format.ts';

/** JSON, with comments and commas at the end where a program allows them. */
export const JSON_FORMAT: Format = {
  name: 'json',
  read(text, key) {
    const node = nodeAt(text, key);
    return node && text.slice(node.offset, node.offset + node.length);
  },
  write(text, key, value) {
    const node = nodeAt(text, key);
    if (node !== undefined) return spliced(text, node.offset, node.offset + node.length, value);
    const next = changed(text === '' ? '{}' : text, key, JSON.parse(value));
    // As it was given, and not over several lines: what is written is later known by its text.
    const made = nodeAt(next, key);
    return made === undefined ? next : spliced(next, made.offset, made.offset + made.length, value);
  },
  remove(text, key) {
    if (nodeAt(text, key) === undefined) return text;
    const without = changed(text, key, undefined);
    const parent = key.slice(0, -1);
    const left = parseTree(without);
    const node = left && (parent.length === 0 ? left : findNodeAtLocation(left, [...parent]));
    if (node?.type !== 'object' || (node.children?.length ?? 0) > 0) return without;
    if (parent.length > 0) return this.remove(without, parent);
    return /^\s*\{\s*\}\s*$/.test(without) ? '' : without;
  },
};

export const jsonText = (value: string | number | boolean | readonly string[]): string => JSON.stringify(value);

function nodeAt(text: string, key: Key) {
  if (text === '') return undefined;
  const errors: ParseError[] = [];
  const tree = parseTree(text, errors, { allowTrailingComma: true });
  const [first] = errors;
  if (first !== undefined) {
    throw new FormatError(
      `it is not valid JSON (line ${lineAt(text, first.offset)}: ${printParseErrorCode(first.error)})`,
    );
  }
  if (tree?.type !== 'object') throw new FormatError('it is not a JSON object');
  for (let depth = 1; depth < key.length; depth++) {
    const inner = findNodeAtLocation(tree, key.slice(0, depth));
    if (inner !== undefined && inner.type !== 'object') throw new FormatError(WRITTEN_OTHERWISE);
  }
  return findNodeAtLocation(tree, [...key]);
}

function changed(text: string, key: Key, value: unknown): string {
  const indent = /\n([ \t]+)\S/.exec(text)?.[1] ?? '\t';
  const insertSpaces = !indent.startsWith('\t');
  const formattingOptions = { insertSpaces, tabSize: insertSpaces ? indent.length : 1, eol: lineEndOf(text) };
  return applyEdits(text, modify(text, [...key], value, { formattingOptions }));
}
