/**
 * The thread that reads and checks the configuration for a reload: parsing a large one takes seconds, in which requests
 * would wait. It ends when all is sent, and its memory goes with it. Built as a file of its own beside the command.
 */
import { constants, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { FLAGS } from '../flags.ts';
import { ConfigError } from '../problems.ts';
import type { Sources } from '../sources.ts';
import { parcelsOf } from './parcels.ts';
import type { FromReader, ReaderData } from './reader-messages.ts';
import { type RereadResult, reread } from './reread.ts';

const { sources, before }: ReaderData = workerData;

function send(message: FromReader): void {
  parentPort?.postMessage(message);
}

function readSources(): RereadResult | undefined {
  const flags = sources.flags.flatMap(({ flag: name, text, label }) => {
    const flag = FLAGS.find((one) => one.name === name);
    return flag === undefined ? [] : [{ flag, text, label }];
  });
  const all: Sources = { ...sources, flags };
  try {
    return reread(all, {
      ...before,
      bytes: before.bytes && Buffer.from(before.bytes.buffer, before.bytes.byteOffset, before.bytes.byteLength),
    });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    send({ did: 'refuse', lines: error.lines });
    return undefined;
  }
}

// The thread that serves comes first. Only Linux has priorities of threads; elsewhere it would be that of the process.
if (process.platform === 'linux') setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL);

const read = readSources();
if (read !== undefined) {
  const { config, from, ...rest } = read;
  const parcels = parcelsOf(config);
  parentPort?.on('message', () => {
    const next = parcels.next();
    if (next.done === true) parentPort?.close();
    else send({ did: 'send', parcel: next.value });
  });
  send({ did: 'read', reread: { ...rest, from: { ...from, bytes: from.bytes && new Uint8Array(from.bytes) } } });
}
