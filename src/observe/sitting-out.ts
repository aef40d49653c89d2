import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Exporter } from '../core/contracts.ts';

/** Running proxies of one user whose files are read; the rest are of programs that were killed. */
const FILES_MAX = 64;

const folderIn = (stateDir: string): string => join(stateDir, 'sitting-out');

/**
 * Writes down which upstream proxies sit out, so that `viaduct why`, another process, can tell. One small file for each
 * running proxy; it changes when a proxy fails or is back. A folder that cannot be written costs just that knowledge.
 */
export function sittingOutFile(stateDir: string): Exporter {
  const folder = folderIn(stateDir);
  const path = join(folder, `${process.pid}.json`);
  const out = new Map<string, number>();
  const write = (): void => {
    try {
      if (out.size === 0) return rmSync(path, { force: true });
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      writeFileSync(`${path}.new`, JSON.stringify([...out]), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    } catch {
      // Requests do not depend on it.
    }
  };
  return {
    name: 'sitting out',
    observe(event) {
      if (event.type !== 'health') return;
      if (event.untilMs === undefined) out.delete(event.proxy);
      else out.set(event.proxy, event.untilMs);
      write();
    },
    async [Symbol.asyncDispose]() {
      out.clear();
      write();
    },
  };
}

/** Until when proxies sit out for some running proxy of this user, on the wall clock. */
export function readSittingOut(stateDir: string, nowMs: number): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const [proxy, untilMs] of filesIn(folderIn(stateDir)).flatMap(entriesOf)) {
    if (untilMs > nowMs) found.set(proxy, Math.max(untilMs, found.get(proxy) ?? 0));
  }
  return found;
}

function filesIn(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter(
      (name) => /^\d+\.json$/.test(name) && isRunning(Number.parseInt(name, 10)),
    );
    return names.slice(0, FILES_MAX).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function entriesOf(path: string): [proxy: string, untilMs: number][] {
  try {
    const written: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (!Array.isArray(written)) return [];
    return written.flatMap((entry: unknown) => {
      const [proxy, untilMs]: unknown[] = Array.isArray(entry) ? entry : [];
      return typeof proxy === 'string' && typeof untilMs === 'number' ? [[proxy, untilMs]] : [];
    });
  } catch {
    // It is being written, or just went away.
    return [];
  }
}
