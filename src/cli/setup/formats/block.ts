import { endedLine, type Format, lineEndOf, spliced } from './format.ts';

const BEGIN = '# >>> viaduct setup >>>';
const END = '# <<< viaduct setup <<<';

/** A block of our own lines at the end of a file whose comments begin with `#`; the value is the lines in it. */
export const BLOCK: Format = {
  name: 'block',
  read(text) {
    const found = find(text);
    return found && text.slice(found.from, found.to).split(/\r?\n/).slice(1, -2).join('\n');
  },
  write(text, _key, value) {
    const end = lineEndOf(text);
    const block = `${[BEGIN, ...value.split('\n'), END].join(end)}${end}`;
    const found = find(text);
    return found === undefined ? `${endedLine(text)}${block}` : spliced(text, found.from, found.to, block);
  },
  remove(text) {
    const found = find(text);
    return found === undefined ? text : spliced(text, found.from, found.to, '');
  },
};

function find(text: string): { readonly from: number; readonly to: number } | undefined {
  // Not `.*`, which does not match the `\r` of another line end.
  const match = new RegExp(`^${BEGIN}\\r?\\n(?:(?!${BEGIN})[^\\n]*\\n)*?${END}[^\\S\\n]*(?:\\n|$)`, 'm').exec(text);
  return match === null ? undefined : { from: match.index, to: match.index + match[0].length };
}

/** A file that is ours as a whole. */
export const WHOLE: Format = {
  name: 'whole',
  read: (text) => (text === '' ? undefined : text),
  write: (_text, _key, value) => value,
  remove: () => '',
};
