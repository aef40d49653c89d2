import { Secret } from '../core/secret.ts';
import { sittingOutFile } from '../observe/sitting-out.ts';
import { serveAsWorker } from '../workers/worker.ts';
import { silentSources } from './prompt-accounts.ts';
import { stateFolder } from './state-folder.ts';
import { expectShortLives } from './young-heap.ts';

/** Runs as one of the workers of `viaduct run --workers N`. */
export function runWorker(): Promise<number> {
  expectShortLives();
  const stateDir = stateFolder(process.env);
  return serveAsWorker({
    channel: process,
    stateDir,
    exporters: [sittingOutFile(stateDir)],
    credentials: ({ prompted, startedMs }, idKey) => ({
      ...silentSources(process.env, stateDir),
      startedMs,
      idKey,
      prompted: new Map(prompted.map(([account, secret]) => [account, new Secret(secret)])),
    }),
  });
}
