import { Worker } from 'node:worker_threads';
import type { Clock } from '../../util/clock.ts';

/** Why a text is not a PAC script, in words that follow "it"; `undefined` when it is one. */
export type Inspect = (text: string, signal: AbortSignal) => Promise<string | undefined>;

/** A script of the size that is accepted is parsed in 50 ms; one that takes seconds was nested on purpose. */
const PARSE_MS_MAX = 1_000;
/** Megabytes of heap: the largest script that is accepted needs 20. */
const HEAP_MB_MAX = 128;

/** The function that a PAC defines, anywhere in the text. */
const DEFINES = /(?<![\w$])FindProxyForURL(?:Ex)?(?![\w$])/;

/**
 * Parses the text without running it: only the engine runs scripts. To find out whether the name stands in comments
 * alone, it is replaced by an invalid escape: then code and strings cannot be parsed, and comments can. Strings count,
 * since a script may define `this['FindProxyForURL']`.
 */
const PARSE = `
const { Script } = require('node:vm');
const { parentPort, workerData } = require('node:worker_threads');
const { text, name } = workerData;
const commentsOnly = 'does not define FindProxyForURL: only a comment mentions it';
let failure;
try {
  new Script(text, { filename: 'pac' });
  try { new Script(text.replace(name, '\\\\u{-}')); failure = commentsOnly; } catch {}
}
catch (error) {
  // A stack overflow is a limit of this thread, not a fault of the script.
  const line = /^pac:(\\d+)/.exec(error.stack)?.[1];
  if (error instanceof SyntaxError) failure = 'cannot be parsed: ' + error.message + (line ? ' in line ' + line : '');
}
parentPort.postMessage(failure);`;

/** Returns the last result again for the same text, which is what servers mostly send. */
export function cachingLast(inspect: Inspect): Inspect {
  let last: { readonly text: string; readonly fault: string | undefined } | undefined;
  return async (text, signal) => {
    if (last?.text !== text) last = { text, fault: await inspect(text, signal) };
    return last.fault;
  };
}

/**
 * Checks that the text defines what a PAC must define, and is a complete script: a file may have been read while an editor
 * wrote it, and a hotel answers every URL with its login page. V8 parses it, as in Chromium, on a thread of its own.
 */
export const scriptInspector =
  (clock: Clock): Inspect =>
  async (text, signal) => {
    if (/^\s*<(?!!--)/.test(text))
      return 'is a web page, not a script; a network that requires a login answers like this';
    if (!DEFINES.test(text)) return 'does not define FindProxyForURL';
    return await parse(text, signal, clock);
  };

function parse(text: string, signal: AbortSignal, clock: Clock): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(PARSE, {
      eval: true,
      workerData: { text, name: new RegExp(DEFINES, 'g') },
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
    });
    const limit = clock.after(PARSE_MS_MAX, () => end(() => resolve('cannot be parsed: it takes too long')));
    const onAbort = () => end(() => reject(signal.reason));
    const end = (settle: () => void) => {
      limit[Symbol.dispose]();
      signal.removeEventListener('abort', onAbort);
      worker.removeAllListeners();
      // An error of a thread that is being ended means nothing, but without a listener it would end the process. The
      // parser cannot be interrupted, so the thread ends later, and the process does not wait for that.
      worker.on('error', () => undefined);
      void worker.terminate();
      worker.unref();
      settle();
    };
    worker.once('message', (failure: unknown) => end(() => resolve(typeof failure === 'string' ? failure : undefined)));
    worker.once('error', () => end(() => resolve('cannot be parsed: it takes too much memory')));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort);
  });
}
