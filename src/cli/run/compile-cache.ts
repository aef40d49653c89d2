import { readdirSync, rmSync, statSync } from 'node:fs';
import { flushCompileCache, getCompileCacheDir } from 'node:module';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '../../util/clock.ts';

/** What the start needed has been compiled, and requests have a moment for themselves. */
const AFTER_MS = 5000;
/** A cache that no start has used for so long belongs to a version that is gone. */
const UNUSED_MS = 30 * 86_400_000;

/**
 * Keeps what V8 has compiled for the next start: Node would write it at the exit only, without what V8 has dropped by then. Removes
 * the caches of builds that are not used any more. dist/cli.js says where they are.
 */
export function keepCompileCache(clock: Clock): Disposable {
  return clock.after(AFTER_MS, () => {
    const own = getCompileCacheDir();
    if (own === undefined) return;
    flushCompileCache();
    removeUnused(dirname(dirname(own)), basename(dirname(own)), clock.wallMs() - UNUSED_MS);
  });
}

function removeUnused(folder: string, kept: string, oldestMs: number): void {
  try {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      if (!name.startsWith('compile-') || name === kept || statSync(path).mtimeMs > oldestMs) continue;
      rmSync(path, { recursive: true, force: true });
    }
  } catch {
    // Another start removes them as well, or the folder is not ours: caches are only ever too many.
  }
}
