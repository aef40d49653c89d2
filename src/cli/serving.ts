import { availableParallelism } from 'node:os';
import type { Config } from '../config/schema.ts';
import type { Loaded } from '../config/sources.ts';
import { systemClock } from '../core/clock.ts';
import type { Exporter } from '../core/contracts.ts';
import type { BookParts } from '../credentials/book.ts';
import { sittingOutFile } from '../observe/sitting-out.ts';
import { startProxy } from '../proxy.ts';
import { canSharePorts } from '../workers/ports.ts';
import { Primary } from '../workers/primary.ts';
import type { Stoppable } from './signals.ts';

/** What `main.ts` takes for a worker. */
const WORKER = 'worker';

/** A proxy that runs, in this process or in several. */
export interface Serving extends Stoppable {
  readonly urls: readonly string[];
  /** Puts another configuration in force, whole or not at all. */
  apply(next: Loaded): Promise<void>;
}

export interface ServingParts {
  readonly notices: Exporter;
  readonly stateDir: string;
  readonly credentials: BookParts;
  readonly inform: (line: string) => void;
}

/** In this process, or in as many as the configuration wants where the system can deal out connections to them. */
export async function serve(loaded: Loaded, parts: ServingParts): Promise<Serving> {
  const workers = await workersFor(loaded.config, parts.inform);
  return workers === 1 ? await serveHere(loaded, parts) : await serveInWorkers(loaded, workers, parts);
}

async function workersFor({ workers }: Config, inform: (line: string) => void): Promise<number> {
  const wanted = workers === 'auto' ? availableParallelism() : workers;
  if (wanted === 1 || (await canSharePorts())) return wanted;
  inform('one process serves: workers share ports, which Linux, FreeBSD, Solaris and AIX can and this system cannot');
  return 1;
}

async function serveHere({ config }: Loaded, { notices, stateDir, credentials }: ServingParts): Promise<Serving> {
  const proxy = await startProxy(config, { exporters: [notices, sittingOutFile(stateDir)], stateDir, credentials });
  return {
    get urls() {
      return proxy.urls;
    },
    get open() {
      return proxy.open;
    },
    close: (how) => proxy.close(how),
    apply: (next) => proxy.reload(next.config),
  };
}

async function serveInWorkers(loaded: Loaded, workers: number, parts: ServingParts): Promise<Serving> {
  const { notices, stateDir, credentials } = parts;
  const primary = await Primary.start(loaded, {
    program: { path: process.argv[1] ?? '', args: [WORKER] },
    workers,
    stateDir,
    clock: systemClock,
    observe: (event) => notices.observe(event),
    startedMs: credentials.startedMs,
    prompted: [...credentials.prompted].map(([account, secret]) => [account, secret.reveal()]),
  });
  return {
    get urls() {
      return primary.urls;
    },
    get open() {
      return primary.open;
    },
    async close(how) {
      const result = await primary.close(how);
      await notices[Symbol.asyncDispose]();
      return result;
    },
    apply: (next) => primary.reload(next),
  };
}
