import { clean } from '../page.ts';

/** Text that is safe between tags and in a quoted attribute; made by `text` or `html` alone. */
export class Markup {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const escaped = (value: string): string => value.replace(/[&<>"']/g, (char) => ENTITIES[char] ?? '');

type Part = Markup | string | number | readonly Markup[];

/**
 * Markup with values in it. Every string is escaped, and what is not printable ASCII is shown as `\x1b`, so that no byte of
 * a peer becomes a tag, an attribute or a control character.
 */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(strings.map((fixed, at) => fixed + sourceOf(parts[at] ?? '')).join(''));
}

function sourceOf(part: Part): string {
  if (part instanceof Markup) return part.source;
  if (typeof part === 'object') return part.map(({ source }) => source).join('');
  return typeof part === 'number' ? String(Math.round(part * 100) / 100) : escaped(clean(part));
}

/** Text of ours, which may hold characters that are not ASCII. */
export const ours = (text: string): Markup => new Markup(escaped(text));
