import { Worker } from 'node:worker_threads';
import { ConfigError } from '../problems.ts';
import type { Sources } from '../sources.ts';
import { Unpacker } from './parcels.ts';
import type { FromReader, ReaderData, ToReader } from './reader-messages.ts';
import type { ConfigFiles, RereadResult } from './reread.ts';

/** As `reread`, on a thread of its own. Rejects with ConfigError, or with the error that ended the thread. */
export function rereadInThread(sources: Sources, before: ConfigFiles): Promise<RereadResult> {
  const flags = sources.flags.map(({ flag, text, label }) => ({ flag: flag.name, text, label }));
  const data: ReaderData = {
    sources: { ...sources, flags, environment: { ...sources.environment } },
    before: { ...before, bytes: before.bytes && new Uint8Array(before.bytes) },
  };
  // Without the flags of the main thread, which set its heap up.
  const thread = new Worker(threadUrl(), { workerData: data, execArgv: [] });
  const unpacking = new Unpacker();
  let rest: Omit<RereadResult, 'config'> | undefined;
  const read = new Promise<RereadResult>((resolve, reject) => {
    const ask = () => thread.postMessage('next' satisfies ToReader);
    thread.on('message', (message: FromReader) => {
      if (message.did === 'refuse') return reject(new ConfigError(message.lines));
      if (message.did === 'read') {
        const { from } = message.reread;
        rest = { ...message.reread, from: { ...from, bytes: from.bytes && asBuffer(from.bytes) } };
        return ask();
      }
      const config = unpacking.add(message.parcel);
      if (config === undefined || rest === undefined) return ask();
      resolve({ ...rest, config });
    });
    thread.on('error', reject);
    thread.on('exit', (code) => reject(new Error(`the thread that reads the configuration ended with ${code}`)));
  });
  return read.finally(() => void thread.terminate());
}

/** Without a copy. */
const asBuffer = ({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

/** Beside this file, in the source, in the library and beside the bundled command alike. */
function threadUrl(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './reader-thread.ts' : './reader-thread.js', import.meta.url);
}
