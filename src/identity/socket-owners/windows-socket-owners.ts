import { createRequire } from 'node:module';
import { layoutProblem } from '../../native/koffi.ts';
import type { TcpEnd } from '../../net/peer-uid.ts';
import type { SocketOwners } from './socket-owners.ts';
import { openWindowsCalls, type WindowsCalls } from './windows-calls.ts';
import { entryIn, familyOf, type TableEntry } from './windows-tcp-table.ts';

/**
 * In units of a FILETIME, 100 ns: sockets may be dated by the tick of the clock before them, which is 15.6 ms long at most, and
 * processes by the exact time.
 */
const TICK = 200_000n;

/** Loads what it calls, or returns why it cannot. */
export function openWindowsSocketOwners(): SocketOwners | { readonly unavailable: string } {
  const problem = layoutProblem();
  if (problem !== undefined) return { unavailable: problem };
  try {
    return new WindowsSocketOwners(openWindowsCalls(createRequire(import.meta.url)('koffi')), process.pid);
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
    return { unavailable: `the package koffi, which calls Windows, does not work on this machine: ${why}` };
  }
}

/** The table of TCP connections names a process, and its token names the user. */
export class WindowsSocketOwners implements SocketOwners {
  readonly self: string;
  readonly #calls: WindowsCalls;

  /** Throws where this process cannot learn even its own user. */
  constructor(calls: WindowsCalls, self: number) {
    this.#calls = calls;
    using own = calls.openProcess(self);
    const user = own?.user();
    if (user === undefined) throw new Error('Windows does not tell the user of this process');
    this.self = user;
  }

  /** `undefined` also for a process that this user may not ask about: then it is another user's. */
  ownerOf(from: TcpEnd, to: TcpEnd): string | undefined {
    if (from.address.family !== to.address.family) return undefined;
    const entry = this.#entryOf(from, to);
    if (entry === undefined || entry.pid === 0) return undefined;
    using owner = this.#calls.openProcess(entry.pid);
    if (owner === undefined) return undefined;
    const startedAt = owner.startedAt();
    // A socket keeps the number of the process that made it when that has ended, and Windows soon gives the number to another.
    if (entry.madeAt !== 0n) return startedAt > entry.madeAt + TICK ? undefined : owner.user();
    // While a process is open its number is no other's: what has the socket now is what was opened.
    return this.#entryOf(from, to)?.pid === entry.pid ? owner.user() : undefined;
  }

  #entryOf(from: TcpEnd, to: TcpEnd): TableEntry | undefined {
    const table = this.#calls.tcpTable(familyOf(from));
    return table && entryIn(table, from, to);
  }
}
