import { readdirSync, readFileSync } from 'node:fs';

/** `utime` and `stime` in /proc are counted in this unit on every Linux (USER_HZ). */
const TICKS_PER_SECOND = 100;

interface Stat {
  readonly parent: number;
  /** CPU of the process itself and of its children that have ended and were reaped. */
  readonly ticks: number;
}

/** CPU seconds that a process and all its descendants have used so far, those that have ended included. */
export function cpuSeconds(root: number): number {
  return statsOf(root).reduce((sum, { ticks }) => sum + ticks, 0) / TICKS_PER_SECOND;
}

/** Memory of a process and its descendants in KiB: PSS, which counts a page that n processes share as 1/n in each. */
export function pssKib(root: number): number {
  return statsOf(root).reduce((sum, { pid }) => sum + pssOf(pid), 0);
}

/** A process and its descendants. */
export function treeOf(root: number): readonly number[] {
  return statsOf(root).map(({ pid }) => pid);
}

function statsOf(root: number): (Stat & { readonly pid: number })[] {
  const all = new Map<number, Stat>();
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : undefined;
    if (stat !== undefined) all.set(Number(name), stat);
  }
  const descends = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined && at > 1; at = all.get(at)?.parent) {
      if (at === root) return true;
    }
    return false;
  };
  return [...all].filter(([pid]) => descends(pid)).map(([pid, stat]) => ({ pid, ...stat }));
}

function statOf(pid: number): Stat | undefined {
  const text = readOrEmpty(`/proc/${pid}/stat`);
  // The name is in brackets and may contain any text; fields are counted behind the last bracket (proc_pid_stat(5)).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  if (text === '') return undefined;
  const ticks = [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0);
  return { parent: Number(fields[1]), ticks };
}

const pssOf = (pid: number): number =>
  Number(/^Pss:\s+(\d+)/m.exec(readOrEmpty(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);

/** A process may end between being listed and being read. */
function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
