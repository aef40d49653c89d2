import { StringDecoder } from 'node:string_decoder';
import { Secret } from '../core/secret.ts';

/** Whoever asks for a password: a terminal to read from, and a place for the question. */
export interface PromptParts {
  readonly input: NodeJS.ReadableStream & {
    readonly isTTY?: boolean;
    readonly isRaw?: boolean;
    setRawMode?(isRaw: boolean): unknown;
  };
  readonly output: { write(text: string): unknown };
}

/** Ctrl-C at a question: the person wants to stop. */
export class StoppedAtPrompt extends Error {
  override readonly name = 'StoppedAtPrompt';
  constructor() {
    super('stopped');
  }
}

/** Longer than any password; a file that was taken for one must not be read into memory. */
const SECRET_BYTES_MAX = 64 * 1024;

export const processPrompt = (): PromptParts => ({ input: process.stdin, output: process.stderr });

/**
 * A password: asked for without echo where somebody sits at a terminal, else the first line of standard input.
 * An empty answer gives `undefined`. Throws StoppedAtPrompt.
 */
export function readSecret(question: string, parts: PromptParts = processPrompt()): Promise<Secret | undefined> {
  return parts.input.isTTY === true ? askSecret(question, parts) : firstLine(parts);
}

/** Keys of a terminal in raw mode, which itself handles none. */
const KEY = {
  enter: new Set(['\r', '\n', '\x04']),
  back: new Set(['\x7f', '\b']),
  /** Ctrl-U and Ctrl-W: begin again. */
  all: new Set(['\x15', '\x17']),
  stop: '\x03',
} as const;

function askSecret(question: string, { input, output }: PromptParts): Promise<Secret | undefined> {
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
        if (key === KEY.stop) return finish(() => reject(new StoppedAtPrompt()));
        if (KEY.enter.has(key)) return answer();
        if (KEY.back.has(key)) typed.pop();
        else if (KEY.all.has(key)) typed = [];
        else if (key >= ' ' && typed.length < SECRET_BYTES_MAX) typed.push(key);
      }
    };
    // Before the question: whoever answers at once, as a program at a terminal does, would see the password echoed.
    input.setRawMode?.(true);
    input.on('data', onData).on('end', onEnd);
    output.write(question);
    input.resume();
  });
}

async function firstLine({ input }: PromptParts): Promise<Secret | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    const read = Buffer.from(chunk);
    chunks.push(read);
    bytes += read.length;
    // Who writes a line and keeps the pipe open has said all that matters.
    if (read.includes('\n')) break;
    if (bytes > SECRET_BYTES_MAX) throw new Error('standard input has no password: its first line has no end');
  }
  const [line = ''] = Buffer.concat(chunks).toString('utf8').split(/\r?\n/, 1);
  return line === '' ? undefined : new Secret(line);
}
