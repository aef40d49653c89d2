import { Worker } from 'node:worker_threads';

/** Why a text is no PAC script, in words that follow "it"; `undefined` when it is one. */
export type Inspect = (text: string, signal: AbortSignal) => Promise<string | undefined>;

/** Nesting that takes seconds to parse is no accident; a script of the size that is accepted takes 50 ms. */
const PARSE_MS_MAX = 1_000;
/** Megabytes of heap: the largest script that is accepted needs 20. */
const HEAP_MB_MAX = 128;

/** It only parses. A script is run by the engine, and nowhere else. */
const PARSE = `
const { Script } = require('node:vm');
const { parentPort, workerData } = require('node:worker_threads');
let trouble;
try { new Script(workerData, { filename: 'pac' }); }
catch (error) {
  // A stack that overflows is a limit of this thread, and no mistake of the script.
  const line = /^pac:(\\d+)/.exec(error.stack)?.[1];
  if (error instanceof SyntaxError) trouble = error.message + (line ? ' in line ' + line : '');
}
parentPort.postMessage(trouble);`;

/** The last verdict again for the same text: a server that is asked every few seconds mostly gives the same. */
export function rememberingLast(inspect: Inspect): Inspect {
  let last: { readonly text: string; readonly wrong: string | undefined } | undefined;
  return async (text, signal) => {
    if (last?.text !== text) last = { text, wrong: await inspect(text, signal) };
    return last.wrong;
  };
}

/**
 * Whether the text defines what a PAC must define, and is a whole script: an editor or a download may have been caught
 * halfway, and a hotel answers every address with its login page. V8 parses it, as in Chromium, on a thread of its own.
 */
export const inspectScript: Inspect = async (text, signal) => {
  if (/^\s*<(?!!--)/.test(text)) return 'is a web page and no script; a network that wants a login answers like this';
  if (!/FindProxyForURL/.test(text)) return 'does not define FindProxyForURL';
  const trouble = await parse(text, signal);
  return trouble === undefined ? undefined : `cannot be parsed: ${trouble}`;
};

function parse(text: string, signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(PARSE, {
      eval: true,
      workerData: text,
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
    });
    worker.unref();
    const limit = setTimeout(() => end(() => resolve('it takes too long')), PARSE_MS_MAX);
    const onAbort = () => end(() => reject(signal.reason));
    const end = (settle: () => void) => {
      clearTimeout(limit);
      signal.removeEventListener('abort', onAbort);
      worker.removeAllListeners();
      // What a thread says while it is stopped is of no interest, but must not be without a listener. A parser stops
      // at its own pace; nobody waits for that.
      worker.on('error', () => undefined);
      void worker.terminate();
      settle();
    };
    worker.once('message', (trouble: unknown) => end(() => resolve(typeof trouble === 'string' ? trouble : undefined)));
    worker.once('error', () => end(() => resolve('it takes too much memory')));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort);
  });
}
