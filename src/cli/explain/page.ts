import { printable } from '../../observe/escape.ts';
import type { Paint } from '../../observe/format-pretty.ts';
import { type ChapterId, chapterOf, goesOn } from './chapters.ts';
import { MASK } from './mask.ts';
import type { Mark, Step } from './steps.ts';

/** A page has 98 columns; a terminal of 100 then shows it with no line broken. */
const WIDTH = 98;
export const INDENT = '    ';

const DETAIL = '    ';

type Style = Parameters<Paint>[0];
const MARK_STYLE: Readonly<Record<Mark, Style>> = { '>': 'green', '>>': 'green', '<': 'cyan', '<<': 'cyan' };

/** Lines under numbered chapters, with a rail beside what is inside the tunnel. */
export class Page {
  readonly paint: Paint;
  readonly #lines: string[] = [];
  #chapters = 0;
  #open: ChapterId | undefined;
  #rail = '';

  constructor(paint: Paint) {
    this.paint = paint;
  }

  line(text: string): void {
    this.#lines.push(text.trimEnd());
  }
  chapter(step: Step): void {
    const chapter = chapterOf(step);
    if (chapter === undefined || goesOn(this.#open, chapter)) return;
    this.#open = chapter.id;
    this.#chapters += 1;
    const left = `${String(this.#chapters).padStart(2)}  ${chapter.title}`;
    this.line('');
    this.line(`${this.paint('bold', left)}${this.paint('dim', rightOf(left, chapter.rfc))}`);
  }
  /** A wire line: a mark and what stands on the wire. */
  wire(mark: Mark, text: string, style?: Style): void {
    const columns = WIDTH - INDENT.length - this.#rail.length - mark.length - 1;
    const shown = fit(clean(text), columns);
    this.line(
      `${INDENT}${this.#rail}${this.paint(MARK_STYLE[mark], mark)} ${style === undefined ? shown : this.paint(style, shown)}`,
    );
  }
  /** A note of our own, as many lines as it takes, with a figure at the right edge of the first. */
  note(text: string, right = '', style: Style = 'dim'): void {
    const columns = WIDTH - INDENT.length - this.#rail.length - 2 - (right === '' ? 0 : right.length + 2);
    for (const [index, shown] of wrap(clean(text), columns).entries()) {
      const left = `${INDENT}${this.#rail}${index === 0 ? '* ' : '  '}`;
      const figure = index === 0 ? rightOf(`${left}${shown}`, right) : '';
      this.line(`${left}${this.paint(style, shown)}${this.paint('dim', figure)}`);
    }
  }
  /** A line of what a note is about. */
  detail(text: string): void {
    const columns = WIDTH - INDENT.length - this.#rail.length - DETAIL.length;
    for (const [index, shown] of wrap(clean(text), columns - 2).entries()) {
      this.line(`${INDENT}${this.#rail}${DETAIL}${index === 0 ? '' : '  '}${this.paint('dim', shown)}`);
    }
  }
  openTunnel(): void {
    this.line(
      this.paint(
        'yellow',
        ruler('┌─ the tunnel begins: the proxy speaks no more HTTP here, it copies bytes both ways '),
      ),
    );
    this.#rail = '│ ';
  }
  closeTunnel(text: string): void {
    this.#rail = '';
    this.line(this.paint('yellow', ruler(`└─ the tunnel ends: ${text} `)));
  }
  text(): string {
    return `${this.#lines.join('\n')}\n`;
  }
}

/** Spaces and then `right`, so that it ends at the edge. */
export const rightOf = (left: string, right: string): string =>
  right === '' ? '' : `${' '.repeat(Math.max(2, WIDTH - left.length - right.length))}${right}`;

export const fit = (text: string, columns: number = WIDTH): string =>
  text.length <= columns ? text : `${text.slice(0, columns - 1)}…`;

/** Broken at blanks; a word that is longer than a line is cut. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = '';
    }
    line = fit(line === '' ? word : `${line} ${word}`, columns);
  }
  return [...lines, line];
}

const ruler = (text: string): string =>
  `${INDENT}${text}${'─'.repeat(Math.max(0, WIDTH - INDENT.length - text.length))}`;

/** What came off a wire must not drive the terminal; our own mask may stay. */
export const clean = (text: string): string => text.split(MASK).map(printable).join(MASK);
