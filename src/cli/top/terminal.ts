import type { Readable, Writable } from 'node:stream';
import type { FrameLine, FrameSize } from './frame.ts';

/** A terminal: `process.stdin` and `process.stdout`, or those of a test. */
export interface TerminalStreams {
  readonly input: Readable & { setRawMode?(mode: boolean): unknown };
  readonly output: Writable & { readonly columns?: number; readonly rows?: number };
}

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
/** Terminals that know it show what is in between at once (synchronized output); others ignore it. */
const BEGIN = '\x1b[?2026h';
const END = '\x1b[?2026l';
const STYLES = { plain: '', head: '\x1b[1m', selected: '\x1b[7m' } as const satisfies Record<
  FrameLine['style'],
  string
>;

/** The whole screen of a terminal, drawn line by line where a line has changed. Disposing gives the screen of before back. */
export class Terminal implements Disposable {
  readonly #streams: TerminalStreams;
  readonly #onKey: (data: Buffer | string) => void;
  readonly #onResize: () => void;
  #shown: readonly string[] = [];

  constructor(streams: TerminalStreams, onKey: (key: string) => void, onResize: () => void) {
    this.#streams = streams;
    this.#onKey = (data) => {
      for (const key of keysIn(String(data))) onKey(key);
    };
    this.#onResize = () => {
      this.#shown = [];
      onResize();
    };
    streams.output.write(ENTER);
    streams.input.setRawMode?.(true);
    streams.input.on('data', this.#onKey);
    streams.output.on('resize', this.#onResize);
  }

  get size(): FrameSize {
    const { columns = 80, rows = 24 } = this.#streams.output;
    return { columns, lines: rows };
  }

  draw(lines: readonly FrameLine[]): void {
    const painted = lines.map(({ text, style }) => (style === 'plain' ? text : `${STYLES[style]}${text}\x1b[0m`));
    const changes = painted.flatMap((line, at) => (line === this.#shown[at] ? [] : [`\x1b[${at + 1};1H${line}\x1b[K`]));
    const clear = this.#shown.length === 0 ? '\x1b[2J' : '';
    this.#shown = painted;
    // In one write: a frame that comes in parts flickers.
    if (changes.length > 0) this.#streams.output.write(`${BEGIN}${clear}${changes.join('')}${END}`);
  }

  [Symbol.dispose](): void {
    const { input, output } = this.#streams;
    input.off('data', this.#onKey);
    output.off('resize', this.#onResize);
    input.setRawMode?.(false);
    input.pause();
    output.write(LEAVE);
  }
}

/** `up`, `down`, …, or the character itself. */
function keysIn(text: string): string[] {
  return [...text.matchAll(/\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Z]|[\s\S]/g)].map(([key]) => NAMES[key] ?? key);
}

const NAMES: Readonly<Record<string, string>> = {
  '\x1b[A': 'up',
  '\x1bOA': 'up',
  '\x1b[B': 'down',
  '\x1bOB': 'down',
  '\x1b[3~': 'delete',
  '\x1b': 'escape',
  '\x03': 'quit',
  '\r': 'enter',
  '\n': 'enter',
  '\x7f': 'backspace',
  '\b': 'backspace',
};
