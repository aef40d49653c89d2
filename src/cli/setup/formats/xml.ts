import { type Format, FormatError, type Key, lineAt, lineEndOf, spliced } from './format.ts';

interface Element {
  readonly name: string;
  readonly attributes: string;
  readonly from: number;
  /** Behind `<name …>`. */
  readonly openTo: number;
  /** Before `</name>`; of `<name/>` where it ends. */
  closeFrom: number;
  to: number;
  readonly isEmptyTag: boolean;
  readonly children: Element[];
}

/**
 * XML. A step of a key is `name`, `name@attribute=value`, or `name#child=text`; the value is the whole element, without the
 * indentation of its first line, and with `\n` for the line ends of the file. What is not there comes first in its parent: of several proxies Maven uses the first.
 */
export const XML: Format = {
  name: 'xml',
  read(text, key) {
    const element = text === '' ? undefined : find(treeOf(text), text, key);
    if (element === undefined) return undefined;
    const lines = text.slice(element.from, element.to).split(/\r?\n/);
    const indent = indentOf(text, element);
    return lines.map((line, at) => (at > 0 && line.startsWith(indent) ? line.slice(indent.length) : line)).join('\n');
  },
  write(text, key, value) {
    if (text === '') return `<?xml version="1.0" encoding="UTF-8"?>\n${wrapped(key, value, '', '\n')}\n`;
    const tree = treeOf(text);
    const found = find(tree, text, key);
    if (found !== undefined) {
      const lines = value.split('\n').join(`${lineEndOf(text)}${indentOf(text, found)}`);
      return spliced(text, found.from, found.to, lines);
    }
    for (let depth = key.length - 1; depth > 0; depth--) {
      const parent = find(tree, text, key.slice(0, depth));
      if (parent !== undefined) return inserted(text, parent, key.slice(depth), value);
    }
    throw new FormatError(`it is not a file of ${key[0]?.split('@')[0]}`);
  },
  remove(text, key) {
    const tree = treeOf(text);
    const found = find(tree, text, key);
    if (found === undefined) return text;
    const parent = find(tree, text, key.slice(0, -1));
    if (
      parent !== undefined &&
      parent.children.length === 1 &&
      !text.slice(parent.openTo, parent.closeFrom).includes('<!')
    ) {
      return key.length > 2 ? this.remove(text, key.slice(0, -1)) : '';
    }
    const lineFrom = /[^\S\n]*$/.exec(text.slice(0, found.from))?.index ?? found.from;
    const behind = /^[^\S\n]*\r?\n/.exec(text.slice(found.to));
    const isWholeLine = behind !== null && (lineFrom === 0 || text[lineFrom - 1] === '\n');
    return isWholeLine
      ? spliced(text, lineFrom, found.to + behind[0].length, '')
      : spliced(text, found.from, found.to, '');
  },
};

/** The white space before an element, where it is the first thing in its line. */
const indentOf = (text: string, { from }: Element): string =>
  /(?:^|\n)([^\S\n]*)$/.exec(text.slice(0, from))?.[1] ?? '';

export const xmlText = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

function inserted(text: string, parent: Element, key: Key, value: string): string {
  const end = lineEndOf(text);
  const outer = /[^\S\n]*$/.exec(text.slice(0, parent.from))?.[0] ?? '';
  const [first] = parent.children;
  const inner = (first && /\n([^\S\n]*)$/.exec(text.slice(0, first.from))?.[1]) ?? `${outer}  `;
  const content = `${end}${wrapped(key, value, inner, end)}`;
  if (parent.isEmptyTag) {
    const open = `${text.slice(parent.from, parent.to).replace(/\s*\/>$/, '')}>`;
    return spliced(text, parent.from, parent.to, `${open}${content}${end}${outer}</${parent.name}>`);
  }
  const isOnOwnLines = /^[^\S\n]*\r?\n/.test(text.slice(parent.openTo));
  return spliced(text, parent.openTo, parent.openTo, isOnOwnLines ? content : `${content}${end}${outer}`);
}

/** The elements that are missing, and the value in the innermost. */
function wrapped(key: Key, value: string, indent: string, end: string): string {
  const [step = '', ...rest] = key;
  if (rest.length === 0)
    return value
      .split('\n')
      .map((line) => indent + line)
      .join(end);
  const [name = '', attribute] = step.split('@');
  const [what, is = ''] = attribute?.split('=') ?? [];
  const open = what === undefined ? name : `${name} ${what}="${xmlText(is)}"`;
  return `${indent}<${open}>${end}${wrapped(rest, value, `${indent}  `, end)}${end}${indent}</${name}>`;
}

function find(tree: Element, text: string, key: Key): Element | undefined {
  let at: Element | undefined = tree;
  for (const step of key) {
    const match: RegExpExecArray | null = /^([^@#]+)(?:([@#])([^=]+)=(.*))?$/.exec(step);
    const [, name, kind, what = '', is = ''] = match ?? [];
    at = at?.children.find(
      (child: Element) =>
        child.name === name &&
        (kind === undefined ||
          (kind === '@'
            ? child.attributes.includes(` ${what}="${is}"`)
            : child.children.some((one) => one.name === what && text.slice(one.openTo, one.closeFrom).trim() === is))),
    );
  }
  return at;
}

const TOKEN =
  /<!--[\s\S]*?-->|<!\[CDATA\[[\s\S]*?\]\]>|<\?[\s\S]*?\?>|<!DOCTYPE[^>]*>|<\/([^\s>]+)\s*>|<([^\s/>!?]+)((?:\s+[^\s=>/]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*(\/?)>|</g;

function treeOf(text: string): Element {
  const root: Element = element('', '', 0, 0, 'pair');
  const open: Element[] = [root];
  for (const match of text.matchAll(TOKEN)) {
    const [whole, closed, name, attributes = '', slash] = match;
    const parent = open.at(-1) ?? root;
    if (whole === '<') throw invalid(text, match.index);
    if (name !== undefined) {
      const to = match.index + whole.length;
      const child = element(name, attributes.replace(/\s+/g, ' '), match.index, to, slash === '/' ? 'alone' : 'pair');
      parent.children.push(child);
      if (slash !== '/') open.push(child);
    } else if (closed !== undefined) {
      if (parent.name !== closed) throw invalid(text, match.index);
      parent.closeFrom = match.index;
      parent.to = match.index + whole.length;
      open.pop();
    }
  }
  if (open.length !== 1 || root.children.length !== 1) throw invalid(text, text.length);
  return root;
}

const element = (name: string, attributes: string, from: number, to: number, tags: 'alone' | 'pair'): Element => {
  return { name, attributes, from, openTo: to, closeFrom: to, to, isEmptyTag: tags === 'alone', children: [] };
};

const invalid = (text: string, offset: number): FormatError =>
  new FormatError(`it is not valid XML (line ${lineAt(text, offset)})`);
