import { watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../core/clock.ts';

/** Editors write in several steps; what happens within this time is one change. */
const SETTLE_MS = 200;

/**
 * Calls `changed` when something happened beside `path`, once per burst. The folder is watched, not the file: an
 * editor that saves by renaming, and a mounted folder that swaps a link, put another file under the same name.
 * Throws what `node:fs` throws when the folder cannot be watched.
 */
export function watchBeside(path: string, clock: Clock, changed: () => void): Disposable {
  let settling: Disposable | undefined;
  const watcher = watch(dirname(path), { persistent: false }, () => {
    settling?.[Symbol.dispose]();
    settling = clock.after(SETTLE_MS, changed);
  });
  // A folder that is removed ends the watch; SIGHUP still reloads.
  watcher.on('error', () => watcher.close());
  return {
    [Symbol.dispose]() {
      settling?.[Symbol.dispose]();
      watcher.close();
    },
  };
}
