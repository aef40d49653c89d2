import { setFlagsFromString } from 'node:v8';

/**
 * Sets V8 up for a process in which nothing that is made per request lives long, and that may never serve many requests.
 * `dist/start.js` sets the same (scripts/entry.ts): compiled code is good only for a process with the same flags.
 */
export function setV8Flags(): void {
  // V8 makes objects long-lived at once where those of the same line of code have been seen to live long, as the tunnels
  // of a busy minute do. Then every tunnel leaves such objects behind, and with them all that they point to, until a
  // full collection: a tenth of all garbage, and collections that take twenty times as long.
  setFlagsFromString('--no-allocation-site-pretenuring');
  // Some seconds after the last request V8 would collect all that it can, and drop the compiled code of every function that was
  // made for objects of which none is left, such as those of requests: the next 2,000 requests would cost three times as much.
  // This program has the heap collected itself, after a minute (return-memory.ts). The count must not be raised for a while and
  // lowered again: V8 ends the process when it has begun more such collections than the count says.
  setFlagsFromString('--memory-reducer-gc-count=0');
  // The last of its compilers would take a third of the CPU of the first ten thousand requests, more than a laptop sends in a
  // day. By then it is worth its time; until then Maglev makes code that is nearly as fast. Node 22 has no Maglev, and would lose.
  if (Number.parseInt(process.versions.v8, 10) >= 13) setFlagsFromString('--invocation-count-for-turbofan=12000');
}
