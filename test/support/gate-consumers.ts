import type { Gate, IdentifiedRequest } from '../../src/contracts/stages.ts';
import type { Clock } from '../../src/util/clock.ts';
import type { ManualClock } from './manual-clock.ts';

/** What a relay does with a gate: reads `chunk` bytes, sends what is granted, and reads on after `returnMs`. */
export interface GateConsumerOptions {
  readonly chunk: number;
  /** From the last byte of a chunk to the next read; default 0. */
  readonly returnMs?: number;
}

/** One greedy connection. `sent` grows as bytes are granted. */
export class GateConsumer {
  sent = 0;
  /** Each grant: when, and how much. */
  readonly grants: (readonly [atMs: number, bytes: number])[] = [];
  readonly ended: Promise<void>;
  #isStopped = false;

  constructor(gate: Gate, clock: Clock, { chunk, returnMs = 0 }: GateConsumerOptions) {
    this.ended = this.#run(gate, clock, chunk, returnMs);
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #run(gate: Gate, clock: Clock, chunk: number, returnMs: number): Promise<void> {
    while (!this.#isStopped) {
      for (let rest = chunk; rest > 0; ) {
        const bytes = await gate.take(rest);
        if (bytes === 0) return;
        this.sent += bytes;
        this.grants.push([clock.now(), bytes]);
        rest -= bytes;
      }
      if (returnMs > 0) await new Promise<void>((resolve) => void clock.after(returnMs, resolve));
    }
  }
}

/** Bytes granted to all takers in a window. */
export function bytesWithin(takers: readonly GateConsumer[], fromMs: number, toMs: number): number {
  let sum = 0;
  for (const { grants } of takers) for (const [atMs, bytes] of grants) if (atMs >= fromMs && atMs < toMs) sum += bytes;
  return sum;
}

/** Jain's fairness index: 1 when all got the same, 1/n when one got everything. */
export function jain(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0);
  const squares = shares.reduce((total, share) => total + share * share, 0);
  return squares === 0 ? 1 : (sum * sum) / (shares.length * squares);
}

/** A clock whose timers come late, as those of a busy process do: by 0 ms, …, `lateMsMax` in turn. */
export function lateClock(clock: ManualClock, lateMsMax: number): Clock {
  let turn = 0;
  return {
    now: () => clock.now(),
    wallMs: () => clock.wallMs(),
    after: (delayMs, task) => clock.after(delayMs + (turn++ % (lateMsMax + 1)), task),
  };
}

/** An identified CONNECT, as far as limits look at it. */
export function tunnelOf(
  more: { id?: string; client?: string; user?: string; host?: string; port?: number; signal?: AbortSignal } = {},
): IdentifiedRequest {
  return {
    principal: { name: more.user ?? '', scheme: more.user ? 'basic' : 'none' },
    request: {
      kind: 'tunnel',
      method: 'CONNECT',
      id: more.id ?? 'r1',
      protocol: 'http/1.1',
      credentials: undefined,
      headers: [],
      client: { address: more.client ?? '127.0.0.1', port: 50_000, listener: 'http://127.0.0.1:3128' },
      signal: more.signal ?? new AbortController().signal,
      startedMs: 0,
      requestTarget: 'a.test:443',
      target: { host: more.host ?? 'www.example.com', port: more.port ?? 443 },
    },
  };
}
