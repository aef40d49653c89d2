import { readdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { replaceFileDurably } from '../../files/replace-file.ts';
import type { Clock } from '../../util/clock.ts';
import type { CheckedBefore } from './checked-before.ts';
import { type CompiledCode, compiledCode } from './compiled-code.ts';
import { withFlagsOfStart } from './limit-young-generation.ts';
import { sealedFor } from './sealed-file.ts';

/** What the start needed has been compiled, and requests have a moment for themselves. */
const AFTER_MS = 5000;
/** A cache that no start has used for so long belongs to a version that is gone. */
const UNUSED_MS = 30 * 86_400_000;
/** Keeps for the next start the settings that were checked, and what V8 has compiled. Removes the caches of builds that are not used any more. */
export function keepCaches(clock: Clock, settings: CheckedBefore): Disposable {
  return clock.after(AFTER_MS, () => {
    const own = compiledCode();
    if (own === undefined) return;
    // A start that has checked its settings has compiled that as well. The next one knows them.
    if (!settings.keep()) {
      void keepCode(own).catch(() => {
        // The next start compiles it again.
      });
    }
    removeUnused(dirname(own.folder), basename(own.folder), clock.wallMs() - UNUSED_MS);
  });
}

async function keepCode(own: CompiledCode): Promise<void> {
  if (own.isKnown) {
    // It is in use.
    const now = new Date();
    return utimesSync(own.folder, now, now);
  }
  const bytes = withFlagsOfStart(() => own.bytes());
  // Beside the event loop, which a slow disk would block.
  await replaceFileDurably(own.file, sealedFor(own.file, bytes), 'latin1');
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
