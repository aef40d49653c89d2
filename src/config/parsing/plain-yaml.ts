import { type Context, endOfPlain, endOfQuoted, plainScalar, unquoted } from './plain-scalar.ts';

/** Thrown at anything that is not plain: the other parser reads it, or says what is wrong with it. */
const NOT_PLAIN: unique symbol = Symbol('not plain');
/** Deeper than any configuration. */
const DEPTH_MAX = 64;
/** Tabs, other line ends and control characters mean something, or nothing, in ways that are not looked into here. */
const ODD = /[\0-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]/;
/** A longer key is a mistake in YAML. */
const KEY_CHARACTERS_MAX = 1000;

/**
 * The values of a YAML text that uses what configurations mostly use: block maps and lists, flow maps and lists, scalars in
 * one line, comments. `undefined` for a text with anything else in it, or with a mistake. What is read here means the same
 * to the `yaml` package (its tests compare both), which takes 30 times as long: a list of 100,000 rules would hold up the
 * start for many seconds.
 */
export function plainYaml(text: string): { readonly values: unknown } | undefined {
  const unix = text.includes('\r') ? text.replaceAll('\r\n', '\n') : text;
  if (ODD.test(unix)) return undefined;
  try {
    return { values: new Reader(unix).document() };
  } catch (error) {
    if (error === NOT_PLAIN) return undefined;
    throw error;
  }
}

class Reader {
  readonly #text: string;
  #at = 0;
  /** Where the line of `#at` begins. */
  #lineAt = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** `null` where nothing is written. */
  document(): unknown {
    const indent = this.#toContent();
    if (indent < 0) return null;
    const value = this.#block(-1);
    if (this.#at < this.#text.length) throw NOT_PLAIN;
    return value;
  }

  /** Goes to the next line that has something in it. Its indentation; -1 at the end. From the end of a line, or the start. */
  #toContent(): number {
    const text = this.#text;
    for (;;) {
      if (text[this.#at] === '\n') this.#at++;
      this.#lineAt = this.#at;
      while (text[this.#at] === ' ') this.#at++;
      const char = text[this.#at];
      if (char === undefined) return -1;
      if (char === '#') this.#toLineEnd();
      else if (char !== '\n') break;
    }
    if (this.#at === this.#lineAt && /^(?:---|\.\.\.)/.test(text.slice(this.#at, this.#at + 3))) throw NOT_PLAIN;
    return this.#column;
  }

  get #column(): number {
    return this.#at - this.#lineAt;
  }

  #toLineEnd(): void {
    const end = this.#text.indexOf('\n', this.#at);
    this.#at = end < 0 ? this.#text.length : end;
  }

  /** Nothing but a comment is left in the line. */
  #endLine(): void {
    const from = this.#at;
    while (this.#text[this.#at] === ' ') this.#at++;
    const char = this.#text[this.#at];
    if (char === '#' && this.#at > from) this.#toLineEnd();
    else if (char !== undefined && char !== '\n') throw NOT_PLAIN;
  }

  /** A node that begins here and lies in a block with this indentation. Ends at the next content, or the end. */
  #block(parent: number): unknown {
    if (++this.#depth > DEPTH_MAX) throw NOT_PLAIN;
    const value = this.#isDash() ? this.#sequence() : this.#isKey() ? this.#mapping() : this.#line(parent);
    this.#depth--;
    return value;
  }

  /** A scalar or a flow collection, with the rest of its line. */
  #line(parent: number): unknown {
    const value = this.#flowNode(parent, 'block');
    this.#endLine();
    // A scalar that goes on in the next line.
    if (this.#toContent() > parent && this.#at < this.#text.length) throw NOT_PLAIN;
    return value;
  }

  #isDash(): boolean {
    const next = this.#text[this.#at + 1];
    return this.#text[this.#at] === '-' && (next === ' ' || next === '\n' || next === undefined);
  }

  #sequence(): unknown[] {
    const indent = this.#column;
    const items: unknown[] = [];
    do {
      this.#at++;
      items.push(this.#afterIndicator(indent, 'sequence'));
    } while (this.#column === indent && this.#isDash());
    if (this.#at < this.#text.length && this.#column > indent) throw NOT_PLAIN;
    return items;
  }

  #mapping(): Record<string, unknown> {
    const indent = this.#column;
    const map: Record<string, unknown> = {};
    do {
      this.#add(map, this.#key(), () => this.#afterIndicator(indent, 'mapping'));
    } while (this.#at < this.#text.length && this.#column === indent && this.#isKey());
    if (this.#at < this.#text.length && this.#column >= indent) throw NOT_PLAIN;
    return map;
  }

  #add(map: Record<string, unknown>, key: string, value: () => unknown): void {
    if (key.length > KEY_CHARACTERS_MAX || key === '__proto__' || Object.hasOwn(map, key)) throw NOT_PLAIN;
    map[key] = value();
  }

  /** What follows a dash or the colon of a key: in the same line, or below it. */
  #afterIndicator(indent: number, of: 'sequence' | 'mapping'): unknown {
    const from = this.#at;
    while (this.#text[this.#at] === ' ') this.#at++;
    const char = this.#text[this.#at];
    if (char === undefined || char === '\n' || (char === '#' && this.#at > from)) {
      this.#at = from;
      this.#endLine();
      const next = this.#toContent();
      if (next < 0) return null;
      // A list may stand as far left as its key.
      const isBelow = next > indent || (next === indent && of === 'mapping' && this.#isDash());
      if (!isBelow) return null;
      // A scalar in a line of its own: about where it ends parsers are of several minds.
      const isFlow = this.#text[this.#at] === '{' || this.#text[this.#at] === '[';
      if (!isFlow && !this.#isDash() && !this.#isKey()) throw NOT_PLAIN;
      return this.#block(indent);
    }
    if (this.#at === from) throw NOT_PLAIN;
    // Behind a dash a map or another list may begin in the same line.
    return of === 'sequence' ? this.#block(indent) : this.#line(indent);
  }

  /** Whether a key of a block map begins here. */
  #isKey(): boolean {
    const at = this.#at;
    const char = this.#text[at] ?? '';
    if (char === '{' || char === '[') return false;
    const isQuoted = char === '"' || char === "'";
    const end = isQuoted ? endOfQuoted(this.#text, at) : endOfPlain(this.#text, at, 'block');
    if (end === undefined) throw NOT_PLAIN;
    this.#at = end;
    while (this.#text[this.#at] === ' ') this.#at++;
    const isKey = this.#isColon();
    this.#at = at;
    return isKey;
  }

  #isColon(): boolean {
    const next = this.#text[this.#at + 1];
    return this.#text[this.#at] === ':' && (next === ' ' || next === '\n' || next === undefined);
  }

  /** A key of a block map, and its colon. */
  #key(): string {
    const key = this.#scalar('block');
    while (this.#text[this.#at] === ' ') this.#at++;
    if (typeof key !== 'string' || key === '<<' || !this.#isColon()) throw NOT_PLAIN;
    this.#at++;
    return key;
  }

  #flowNode(parent: number, context: Context): unknown {
    const char = this.#text[this.#at];
    if (char !== '{' && char !== '[') return this.#scalar(context);
    if (++this.#depth > DEPTH_MAX) throw NOT_PLAIN;
    this.#at++;
    const value = char === '{' ? this.#flowMap(parent) : this.#flowList(parent);
    this.#depth--;
    return value;
  }

  #flowList(parent: number): unknown[] {
    const items: unknown[] = [];
    for (;;) {
      this.#flowSpace(parent);
      if (this.#take(']')) return items;
      items.push(this.#flowNode(parent, 'flow'));
      this.#flowSpace(parent);
      if (!this.#take(',') && this.#text[this.#at] !== ']') throw NOT_PLAIN;
    }
  }

  #flowMap(parent: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    for (;;) {
      this.#flowSpace(parent);
      if (this.#take('}')) return map;
      const isQuoted = this.#text[this.#at] === '"' || this.#text[this.#at] === "'";
      const key = this.#scalar('flow');
      this.#flowSpace(parent);
      if (typeof key !== 'string' || key === '<<' || !this.#take(':')) throw NOT_PLAIN;
      // As in JSON, a quoted key needs no space behind its colon.
      if (!isQuoted && this.#text[this.#at] !== ' ' && this.#text[this.#at] !== '\n') throw NOT_PLAIN;
      this.#flowSpace(parent);
      this.#add(map, key, () => this.#flowNode(parent, 'flow'));
      this.#flowSpace(parent);
      if (!this.#take(',') && this.#text[this.#at] !== '}') throw NOT_PLAIN;
    }
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  /** Spaces, line ends and comments in a flow collection, whose lines are indented further than what it lies in. */
  #flowSpace(parent: number): void {
    for (;;) {
      const from = this.#at;
      while (this.#text[this.#at] === ' ') this.#at++;
      const char = this.#text[this.#at];
      if (char === '#' && this.#at > from) this.#toLineEnd();
      else if (char !== '\n') return;
      const lineEnd = this.#at;
      if (this.#toContent() <= parent) throw NOT_PLAIN;
      // The other parser wants space before a comment here, also at the beginning of a line.
      if (this.#text.slice(lineEnd, this.#at).includes('\n#')) throw NOT_PLAIN;
    }
  }

  #scalar(context: Context): unknown {
    const text = this.#text;
    const from = this.#at;
    const isQuoted = text[from] === '"' || text[from] === "'";
    const end = isQuoted ? endOfQuoted(text, from) : endOfPlain(text, from, context);
    if (end === undefined) throw NOT_PLAIN;
    this.#at = end;
    const value = isQuoted ? unquoted(text.slice(from, end)) : plainScalar(text.slice(from, end));
    if (value === undefined) throw NOT_PLAIN;
    return value;
  }
}
