import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Exporter } from '../contracts/event.ts';
import { readFileBounded } from '../files/read-file.ts';
import { replaceFile } from '../files/replace-file.ts';

/** Running proxies of one user whose files are read; the rest are of programs that were killed. */
const FILES_MAX = 64;
/** Hundreds of proxies; a larger file is none of ours. */
const READ_OPTIONS = { bytesMax: 64 * 1024, pipes: 'refuse' } as const;

const folderIn = (stateDir: string): string => join(stateDir, 'proxy-health');

/**
 * Writes down which upstream proxies are marked down, for `viaduct why`, which is another process. One small file for each
 * running proxy; it changes when a proxy fails or is back. Where the folder cannot be written, `why` takes all for up.
 */
export function proxyHealthFile(stateDir: string): Exporter {
  const path = join(folderIn(stateDir), `${process.pid}.json`);
  const down = new Map<string, number>();
  const write = (): void => {
    try {
      if (down.size === 0) return rmSync(path, { force: true });
      replaceFile(path, JSON.stringify([...down]));
    } catch {
      // Requests do not depend on it.
    }
  };
  return {
    name: 'proxy health',
    only: ['health'],
    observe(event) {
      if (event.type !== 'health') return;
      if (event.untilMs === undefined) down.delete(event.proxy);
      else down.set(event.proxy, event.untilMs);
      write();
    },
    async [Symbol.asyncDispose]() {
      down.clear();
      write();
    },
  };
}

/** Until when running proxies of this user have marked upstream proxies down, on the wall clock. */
export function readProxyHealth(stateDir: string, nowMs: number): ReadonlyMap<string, number> {
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
    const written: unknown = JSON.parse(readFileBounded(path, READ_OPTIONS).toString('utf8'));
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
