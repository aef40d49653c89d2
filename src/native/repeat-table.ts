import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../util/clock.ts';
import { NUMBERS_PER_REPORT, REPORTS_MAX, TUNNEL_REPORTS } from './abi.ts';
import { loadAddon, type RepeatsAddon } from './addon.ts';
import { type NativeThread, nativeThread } from './relay-thread.ts';

/** A decision is repeated for so long, and then made again: nothing that it depends on is noticed later. */
const AGE_MS = 1_000;
/** Until the last tunnel by decisions of the table before is reported. */
const RETRY_MS = 50;
/** Tunnels that may be open before TypeScript hears of them: none of its counts is behind by more. */
const UNREPORTED_MAX = 256;

/** All that a decision about a CONNECT was made from, and what it was. */
export interface RepeatableDecision {
  /** Number of the listening socket. */
  readonly listener: number;
  readonly client: string;
  /** Empty for a listener on one address. */
  readonly localAddress: string;
  /** As it was received, with its empty line. */
  readonly head: string;
  /** The head that opens the tunnel. */
  readonly response: string;
  /** The address that was dialled. */
  readonly target: string;
  readonly port: number;
}

/** A tunnel that was opened without asking TypeScript. Times are on the clock of the system (util/clock.ts). */
export interface RepeatedTunnel {
  /** While it is open: where its events come. */
  readonly slot: number;
  readonly clientPort: number;
  readonly acceptedMs: number;
  readonly openedMs: number;
}

/** It is over, and this is all of it. */
export interface EndedTunnel extends RepeatedTunnel {
  readonly endedMs: number;
  readonly up: number;
  readonly down: number;
  /** A `TunnelEnd`. */
  readonly end: number;
}

/** Whose decision is repeated. */
export interface RepeatOwner {
  /** A tunnel has been open for a moment, and goes on. `adopt` of the thread receives its events. */
  opened(tunnel: RepeatedTunnel): void;
  /** A tunnel was opened, and is over already. */
  ended(tunnel: EndedTunnel): void;
  /** Nothing more will be reported. Called once. */
  dropped(): void;
}

/**
 * The decisions that the addon repeats (native/repeats.h). Every second it begins with an empty table, so that none is
 * older; the table before is kept here until all its tunnels have been reported.
 */
export class RepeatTable {
  readonly thread: NativeThread;
  readonly #addon: RepeatsAddon;
  readonly #reports = new Float64Array(REPORTS_MAX * NUMBERS_PER_REPORT);
  /** What the clock of the reports is behind that of the system. */
  readonly #offsetMs: number;
  #current = new Map<number, RepeatOwner>();
  #before = new Map<number, RepeatOwner>();
  #lastId = 0;
  #renewal: Disposable | undefined;

  /** Throws when the system cannot have it. */
  constructor(addon: RepeatsAddon, thread: NativeThread) {
    this.thread = thread;
    this.#addon = addon;
    addon.begin((reports) => this.#read(reports), this.#reports.buffer, thread.countersOfRepeated());
    addon.setCredit(UNREPORTED_MAX);
    this.#offsetMs = systemClock.now() - addon.nowMs();
  }

  /** Tunnels that its owners have not heard of yet. */
  get unreported(): number {
    return this.#addon.unreported();
  }

  /** False: it is not repeated, and `owner` hears nothing. */
  add(decision: RepeatableDecision, owner: RepeatOwner): boolean {
    const { listener, client, localAddress, head, response, target, port } = decision;
    this.#lastId = (this.#lastId + 1) % 0x7fff_ffff;
    const id = this.#lastId;
    if (!this.#addon.add(listener, client, localAddress, head, response, target, port, id)) return false;
    this.#current.set(id, owner);
    this.#renewal ??= systemClock.after(AGE_MS, () => this.forget());
    return true;
  }

  /** Repeats none of the decisions so far, at once. */
  forget(): void {
    this.#renewal?.[Symbol.dispose]();
    this.#renewal = undefined;
    if (this.#current.size === 0 && this.#before.size === 0) return;
    const waits = this.#addon.renew() > 0;
    if (!waits) {
      drop(this.#before);
      this.#before = this.#current;
      this.#current = new Map();
    }
    this.#renewal = systemClock.after(waits ? RETRY_MS : AGE_MS, () => this.forget());
  }

  /** Repeats none of the decisions so far, and resolves when every tunnel that was opened by them is reported. */
  async settle(): Promise<void> {
    const ids = [...this.#before.keys(), ...this.#current.keys()];
    const isKept = (id: number) => this.#before.has(id) || this.#current.has(id);
    for (this.forget(); ids.some(isKept); this.forget()) if (this.unreported > 0) await sleep(RETRY_MS);
  }

  #read(reports: number): void {
    for (let at = 0; at < reports * NUMBERS_PER_REPORT; at += NUMBERS_PER_REPORT) {
      try {
        this.#readOne(at);
      } catch (error) {
        // It costs its own tunnel alone; the error goes where those of other callbacks of the loop go.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  #readOne(at: number): void {
    const of = (index: number) => this.#reports[at + index] ?? 0;
    const id = of(1);
    const owner = this.#current.get(id) ?? this.#before.get(id);
    const slot = of(2);
    const tunnel = {
      slot,
      clientPort: of(3),
      acceptedMs: of(4) + this.#offsetMs,
      openedMs: of(5) + this.#offsetMs,
    };
    if (of(0) === TUNNEL_REPORTS.open) {
      if (owner === undefined) this.thread.command(slot, 'abort');
      else owner.opened(tunnel);
    } else owner?.ended({ ...tunnel, endedMs: of(6) + this.#offsetMs, up: of(7), down: of(8), end: of(9) });
  }
}

function drop(owners: ReadonlyMap<number, RepeatOwner>): void {
  for (const owner of owners.values()) owner.dropped();
}

let begun: { readonly table: RepeatTable | undefined } | undefined;

/**
 * The table of this environment, once its epoll sockets are there; `undefined`: there can be none, and every decision is made
 * in TypeScript. Never throws.
 */
export function repeatTable(): RepeatTable | undefined {
  begun ??= { table: begin() };
  return begun.table;
}

function begin(): RepeatTable | undefined {
  const { addon } = loadAddon();
  const { thread } = nativeThread();
  try {
    return addon && thread && new RepeatTable(addon.repeats, thread);
  } catch {
    return undefined;
  }
}
