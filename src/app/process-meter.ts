import { readdirSync, statSync } from 'node:fs';
import { getHeapStatistics } from 'node:v8';
import { relayedTunnelCount } from '../native/relay-thread.ts';
import { epollSocketCount } from '../net/epoll-sockets.ts';
import type { LoopDelay } from '../observe/loop-delay.ts';
import { combined, type ProcessMeasures, type Unaccounted } from '../observe/process-measures.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { type Clock, pendingTimers } from '../util/clock.ts';
import { filesMax } from './descriptor-budget.ts';
import type { UnaccountedCheck } from './unaccounted.ts';

/** A socket that closes may be counted for a turn or two of the loop: what is unaccounted for is looked at again so often. */
const LOOKS_MAX = 6;
const LOOK_AGAIN_MS = 50;

export interface ProcessMeterDeps {
  readonly unaccounted: UnaccountedCheck;
  readonly sessions: Pick<Sessions, 'entries'>;
  readonly delay: LoopDelay;
  readonly clock: Clock;
}

/** Measures this process for metrics. */
export class ProcessMeter {
  readonly #deps: ProcessMeterDeps;

  constructor(deps: ProcessMeterDeps) {
    this.#deps = deps;
  }

  async measure(): Promise<ProcessMeasures> {
    const unaccounted = await this.#unaccounted();
    const { meanMs, maxMs } = this.#deps.delay.read();
    const { used_heap_size, heap_size_limit } = getHeapStatistics();
    const { user, system } = process.cpuUsage();
    const files = openFiles();
    const max = filesMax();
    const native = relayedTunnelCount();
    return {
      heapUsedBytes: used_heap_size,
      heapLimitBytes: heap_size_limit,
      residentBytes: process.memoryUsage.rss(),
      cpuSeconds: (user + system) / 1e6,
      openFiles: files,
      openFilesRatio: files === undefined || max === undefined ? undefined : files / max,
      sockets: { node: nodeSockets(), addon: epollSocketCount(), relay: 2 * native },
      relayTunnels: { native, portable: Math.max(0, this.#relaying() - native) },
      timers: pendingTimers(),
      loopDelayMeanMs: meanMs,
      loopDelayMaxMs: maxMs,
      unaccounted,
    };
  }

  /** What stays unaccounted for. */
  async #unaccounted(): Promise<Unaccounted> {
    // In a task of its own: within another one a request may be between two states.
    await new Promise<void>((resolve) => setImmediate(resolve));
    let least = this.#deps.unaccounted.look();
    for (let looks = 1; looks < LOOKS_MAX && !isNothing(least); looks++) {
      await new Promise<void>((resolve) => this.#deps.clock.after(LOOK_AGAIN_MS, resolve));
      least = combined(least, this.#deps.unaccounted.look(), Math.min);
    }
    return least;
  }

  /** Tunnels whose bytes move. */
  #relaying(): number {
    let count = 0;
    for (const { kind, step } of this.#deps.sessions.entries()) if (kind === 'tunnel' && step === 'relay') count += 1;
    return count;
  }
}

const isNothing = (found: Unaccounted): boolean => Object.values(found).every((count) => count === 0);

/** Listed by kind: everything that keeps the process alive. */
const nodeSockets = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;

/** Linux 6.2 and later have the number as the size of the folder. */
function openFiles(): number | undefined {
  try {
    const { size } = statSync('/proc/self/fd');
    return size > 0 ? size : readdirSync('/proc/self/fd').length;
  } catch {
    return undefined;
  }
}
