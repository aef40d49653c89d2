import { serveAsWorker } from '../../cluster/worker.ts';
import { Secret } from '../../contracts/secret.ts';
import { stateFolder } from '../../files/state-folder.ts';
import { proxyHealthFile } from '../../observe/proxy-health-file.ts';
import { systemClock } from '../../util/clock.ts';
import { nonInteractiveSources } from '../account/prompt-accounts.ts';
import { collectAfterReload } from './collect-heap.ts';
import { returnMemory } from './return-memory.ts';
import { setV8Flags } from './v8-flags.ts';
import { boundYoungSpace } from './young-space.ts';

/** Runs as one of the workers of `viaduct run --workers N`. */
export function runWorker(): Promise<number> {
  setV8Flags();
  boundYoungSpace();
  const stateDir = stateFolder(process.env);
  return serveAsWorker({
    channel: process,
    stateDir,
    exporters: [proxyHealthFile(stateDir), returnMemory(systemClock)],
    onReloaded: () => collectAfterReload(systemClock),
    credentials: ({ prompted, startedMs }, idKey) => ({
      ...nonInteractiveSources(process.env, stateDir),
      startedMs,
      idKey,
      prompted: new Map(prompted.map(([account, secret]) => [account, new Secret(secret)])),
    }),
  });
}
