import { StringDecoder } from 'node:string_decoder';
import { Secret } from '../../contracts/secret.ts';
import { decodeText } from '../../files/decode-text.ts';
import { isInBackground } from './background.ts';

/** Where a password is asked for: a terminal to read from, and a stream for the question. */
export interface PromptOptions {
  readonly input: NodeJS.ReadableStream & {
    readonly isTTY?: boolean;
    readonly isRaw?: boolean;
    setRawMode?(isRaw: boolean): unknown;
  };
  readonly output: { write(text: string): unknown };
  /** Whether the terminal belongs to another process now, so that the system stops the one that asks. */
  readonly isInBackground?: () => boolean;
}

/** Ctrl-C at a question: the person wants to stop. */
export class PromptCancelledError extends Error {
  override readonly name = 'PromptCancelledError';
  constructor() {
    super('stopped');
  }
}

/** Longer than any password; a file that was taken for one must not be read into memory. */
const SECRET_BYTES_MAX = 64 * 1024;

export const processPrompt = (): PromptOptions => ({
  // Node takes some milliseconds to make it, and most starts ask for nothing.
  get input() {
    return process.stdin;
  },
  output: process.stderr,
  isInBackground,
});

/**
 * A password: asked for without echo at a terminal, else the first line of standard input.
 * An empty answer gives `undefined`. Throws PromptCancelledError.
 */
export function readSecret(question: string, prompt: PromptOptions = processPrompt()): Promise<Secret | undefined> {
  return prompt.input.isTTY === true ? askSecret(question, prompt) : firstLine(prompt);
}

const STOPPED_IN_BACKGROUND =
  'has to be typed, and this process is in the background of its terminal: it is stopped here until fg brings it back';

/** Keys of a terminal in raw mode, which itself handles none. */
const KEY = {
  enter: new Set(['\r', '\n', '\x04']),
  back: new Set(['\x7f', '\b']),
  /** Ctrl-U and Ctrl-W: begin again. */
  all: new Set(['\x15', '\x17']),
  stop: '\x03',
} as const;

function askSecret(question: string, { input, output, isInBackground }: PromptOptions): Promise<Secret | undefined> {
  if (isInBackground?.() === true) output.write(`viaduct: ${question.replace(/: $/, '')} ${STOPPED_IN_BACKGROUND}\n`);
  return new Promise((resolve, reject) => {
    const decoder = new StringDecoder('utf8');
    const wasRaw = input.isRaw === true;
    let typed: string[] = [];
    const finish = (settle: () => void) => {
      input.off('data', onData).off('end', onEnd);
      input.setRawMode?.(wasRaw);
      input.pause();
      output.write('\n');
      settle();
    };
    const answer = () => finish(() => resolve(typed.length === 0 ? undefined : new Secret(typed.join(''))));
    const onEnd = answer;
    const onData = (chunk: Buffer | string) => {
      for (const key of typeof chunk === 'string' ? chunk : decoder.write(chunk)) {
        if (key === KEY.stop) return finish(() => reject(new PromptCancelledError()));
        if (KEY.enter.has(key)) return answer();
        if (KEY.back.has(key)) typed.pop();
        else if (KEY.all.has(key)) typed = [];
        else if (key >= ' ' && typed.length < SECRET_BYTES_MAX) typed.push(key);
      }
    };
    // Before the question: the terminal would echo a password that is typed at once, as a program at a terminal does.
    input.setRawMode?.(true);
    input.on('data', onData).on('end', onEnd);
    output.write(question);
    input.resume();
  });
}

async function firstLine({ input }: PromptOptions): Promise<Secret | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    const read = Buffer.from(chunk);
    chunks.push(read);
    bytes += read.length;
    // A writer may keep the pipe open behind the line.
    if (textOf(chunks).includes('\n')) break;
    if (bytes > SECRET_BYTES_MAX) throw new Error('standard input has no password: its first line has no end');
  }
  const [line = ''] = textOf(chunks).split(/\r?\n/, 1);
  return line === '' ? undefined : new Secret(line);
}

/** Files that Windows programs write are piped in as they are. */
const textOf = (chunks: readonly Buffer[]): string => decodeText(Buffer.concat(chunks)).text;
