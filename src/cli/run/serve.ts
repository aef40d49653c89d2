import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { ControlledProxy } from '../../admin/controlled-proxy.ts';
import { controlledHere } from '../../app/controlled.ts';
import { startProxy } from '../../app/start.ts';
import type { InheritedSockets } from '../../clients/inherited-sockets.ts';
import { canSharePorts } from '../../cluster/ports.ts';
import { Primary } from '../../cluster/primary.ts';
import type { Config } from '../../config/config.ts';
import type { ReloadCause } from '../../config/reload/reload.ts';
import type { Exporter, Observe } from '../../contracts/event.ts';
import type { CredentialStoreDeps } from '../../credentials/credential-store.ts';
import type { Logger } from '../../observe/logger.ts';
import { LoopDelay } from '../../observe/loop-delay.ts';
import { proxyHealthFile } from '../../observe/proxy-health-file.ts';
import { RequestCounter } from '../../observe/request-counter.ts';
import { RequestSteps } from '../../observe/request-steps.ts';
import { TrafficTotals } from '../../observe/traffic-totals.ts';
import type { ListenAddress } from '../../policy/listen-addresses.ts';
import { activeRelay } from '../../relay/choose-relay.ts';
import { systemClock } from '../../util/clock.ts';
import type { DelayedDrain } from './delayed-drain.ts';
import { warnOfFewFiles } from './open-files.ts';
import { returnMemory } from './return-memory.ts';
import type { Stoppable } from './signals.ts';

/** With this word `main.ts` runs as a worker. */
const WORKER = 'worker';

/** A proxy that runs, in this process or in several. */
export interface RunningProxy extends Stoppable {
  readonly urls: readonly string[];
  /** As the dashboard sees it. */
  readonly controlled: ControlledProxy;
  /** After the log file was moved away: goes on in a new one of the same name. */
  reopenLog(): void;
  /** Puts another configuration in force, whole or not at all. */
  apply(next: Config, cause: ReloadCause): Promise<void>;
}

export interface ServeOptions {
  readonly notices: Exporter;
  readonly stateDir: string;
  readonly credentials: CredentialStoreDeps;
  readonly logger: Logger;
  /** Requests and notices of this process; the dashboard shows the notices. */
  readonly onEvent: Observe;
  readonly delayedDrain: DelayedDrain;
  /** Sockets that the service manager has opened; with workers there are none. */
  readonly inherited: InheritedSockets;
  /** Of the dashboard: no route leads there. */
  readonly adminAddresses: () => readonly ListenAddress[];
}

/** In this process, or in as many as the configuration wants where the system can distribute connections to them. */
export async function serve(config: Config, options: ServeOptions): Promise<RunningProxy> {
  const workers = await workersFor(config, options);
  warnOfFewFiles(workers, options.logger);
  return workers === 1 ? await serveHere(config, options) : await serveInWorkers(config, workers, options);
}

/** Not to be disposed with the proxy. */
const borrowed = ({ name, only, observe }: Exporter): Exporter => ({
  name,
  only,
  observe,
  [Symbol.asyncDispose]: () => Promise.resolve(),
});

async function workersFor({ workers }: Config, { logger, inherited }: ServeOptions): Promise<number> {
  const wanted = workers === 'auto' ? availableParallelism() : workers;
  if (wanted > 1 && inherited.count > 0) {
    logger.warn(
      'one process serves: systemd passes its sockets to one alone; `viaduct service install` again writes units for workers',
    );
    return 1;
  }
  if (wanted === 1 || (await canSharePorts())) return wanted;
  logger.warn('one process serves: workers share ports (SO_REUSEPORT), which this system does not support');
  return 1;
}

async function serveHere(config: Config, options: ServeOptions): Promise<RunningProxy> {
  const { notices, stateDir, credentials, inherited, adminAddresses, delayedDrain, onEvent } = options;
  const counter = new RequestCounter(systemClock);
  const totals = new TrafficTotals(systemClock);
  const steps = new RequestSteps(systemClock);
  const shown: Exporter = {
    name: 'dashboard',
    only: ['request', 'notice'],
    observe: onEvent,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const own = [counter, totals, steps, proxyHealthFile(stateDir), returnMemory(systemClock)];
  const exporters = [borrowed(notices), shown, ...own];
  const proxy = await startProxy(config, {
    exporters,
    stateDir,
    credentials,
    inherited,
    ownAddresses: adminAddresses,
    decisions: 'repeat',
  });
  return {
    get urls() {
      return proxy.urls;
    },
    get open() {
      return proxy.open;
    },
    controlled: controlledHere(proxy, config, {
      counts: counter.counts,
      delay: new LoopDelay(systemClock),
      totals,
      steps,
    }),
    close: (how) => delayedDrain.close(proxy, how),
    apply: (next, cause) => proxy.reload(next, cause),
    reopenLog: () => proxy.reopenLog(),
  };
}

async function serveInWorkers(config: Config, workers: number, options: ServeOptions): Promise<RunningProxy> {
  const { notices, stateDir, credentials, adminAddresses, delayedDrain, onEvent } = options;
  const primary = await Primary.start(config, {
    program: { path: process.argv[1] ?? '', args: [WORKER] },
    workers,
    stateDir,
    clock: systemClock,
    observe(event) {
      notices.observe(event);
      onEvent(event);
    },
    startedMs: credentials.startedMs,
    idKey: credentials.idKey?.() ?? randomBytes(32),
    ownAddresses: adminAddresses(),
    prompted: [...credentials.prompted].map(([account, secret]) => [account, secret.reveal()]),
  });
  return {
    get urls() {
      return primary.urls;
    },
    get open() {
      return primary.open;
    },
    controlled: {
      name: config.name,
      workers,
      relay: activeRelay(config.relay),
      get urls() {
        return primary.urls;
      },
      get open() {
        return primary.open;
      },
      look: (after) => primary.live.look(after),
      end: (ids, reason) => primary.live.end(ids, reason),
      measure: () => primary.live.measure(),
      limits: () => primary.limits(),
      get limitStore() {
        return primary.limitStore;
      },
      setRate: (limit, rate) => primary.setRate(limit, rate),
      accounts: () => primary.live.accounts(),
      get rules() {
        return primary.rules;
      },
      steps: (id) => primary.live.steps(id),
      totals: (by, window) => primary.live.totals(by, window),
      get modes() {
        return primary.modes;
      },
      setMode: (mode, untilMs) => primary.setMode(mode, untilMs),
      ways: () => primary.live.ways(),
      why: (question) => primary.live.why(question),
    },
    close: (how) => delayedDrain.close(primary, how),
    apply: (next, cause) => primary.reload(next, cause),
    reopenLog: () => primary.reopenLog(),
  };
}
