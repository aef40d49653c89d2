import { readdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { replaceFileDurably } from '../../files/replace-file.ts';
import type { Clock } from '../../util/clock.ts';
import type { CheckedBefore } from './checked-before.ts';
import { type CompiledCode, compiledCode } from './compiled-code.ts';
import { sealedFor } from './sealed-file.ts';
import { withFlagsOfStart } from './young-space.ts';

/** A cache that no start has used for so long belongs to a version that is gone. */
const UNUSED_MS = 30 * 86_400_000;
/** Keeps for the next start the settings that were checked, and what V8 has compiled. Removes the caches of builds that are not used any more. */
export function keepCaches(clock: Clock, settings: CheckedBefore, onKept: () => void): Disposable | undefined {
  const own = compiledCode();
  return (
    own &&
    clock.after(own.keepAfterMs, () => {
      settings.keep();
      if (own.scripts.some(({ isKnown }) => !isKnown)) {
        // Where it could not be written, the next start compiles it again.
        void keepCode(own).then(onKept, onKept);
      }
      useFolder(own.folder);
      removeUnused(dirname(own.folder), basename(own.folder), clock.wallMs() - UNUSED_MS);
    })
  );
}

async function keepCode(own: CompiledCode): Promise<void> {
  for (const script of own.scripts) {
    if (script.isKnown) continue;
    const bytes = withFlagsOfStart(() => script.bytes());
    // Beside the event loop, which a slow disk would block.
    await replaceFileDurably(script.file, sealedFor(script.file, bytes), 'latin1');
  }
}

/** So that another start does not remove it. */
function useFolder(folder: string): void {
  const now = new Date();
  try {
    utimesSync(folder, now, now);
  } catch {
    // There is none where the build has compiled everything and no settings are kept.
  }
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
