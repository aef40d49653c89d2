import { statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Clock } from '../util/clock.ts';

/** A program that writes a file in place may pause between two writes, and after it has emptied the file. */
const QUIET_MS = 1000;
/** The events of one step of a program are reported together: after this it is known whether a new file is still written. */
const SETTLE_MS = 50;

/** What tells one state of a file from the next without reading it. */
interface Version {
  readonly inode: bigint;
  readonly size: bigint;
  readonly writtenNs: bigint;
}

/**
 * Calls `changed` when the file at `path` is another one, or was written. A file that took its place by a rename is
 * complete and is reported at once; one that is written in place is reported when it has not changed for a second. The
 * folder is watched, not the file: an editor that saves by renaming, and a mounted folder that swaps a link, put another
 * file under the same name. Throws what `node:fs` throws when the folder cannot be watched.
 */
export function watchFile(path: string, clock: Clock, changed: () => void): Disposable {
  const watched = new FileWatch(path, clock, changed);
  const own = basename(path);
  const watcher = watch(dirname(path), { persistent: false }, (event, name) => {
    watched.look(event === 'change' && (name === null || name === own) ? 'written' : 'unknown');
  });
  // A folder that is removed ends the watch; SIGHUP still reloads.
  watcher.on('error', () => watcher.close());
  return {
    [Symbol.dispose]() {
      watched[Symbol.dispose]();
      watcher.close();
    },
  };
}

/** `gone`: there is nothing at the path. */
type State = Version | 'gone';

class FileWatch implements Disposable {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #changed: () => void;
  /** The last state that was reported. */
  #reported: State;
  /** Reported when the timer ends, unless it changes before. */
  #pending: { readonly state: State; readonly timer: Disposable } | undefined;
  /** The file that is at the path now was written there. */
  #isWritten = false;

  constructor(path: string, clock: Clock, changed: () => void) {
    this.#path = path;
    this.#clock = clock;
    this.#changed = changed;
    this.#reported = stateOf(path);
  }

  look(event: 'written' | 'unknown'): void {
    const now = stateOf(this.#path);
    const before = this.#pending?.state ?? this.#reported;
    if (inodeOf(now) !== inodeOf(before)) this.#isWritten = false;
    if (event === 'written') this.#isWritten = true;
    else if (isSame(now, before)) return;
    this.#wait(now);
  }

  [Symbol.dispose](): void {
    this.#pending?.timer[Symbol.dispose]();
    this.#pending = undefined;
  }

  #wait(state: State): void {
    this[Symbol.dispose]();
    // One that is empty was made here: what is moved into place has something in it.
    const isReplaced =
      state !== 'gone' && inodeOf(state) !== inodeOf(this.#reported) && !this.#isWritten && state.size > 0n;
    const timer = this.#clock.after(isReplaced ? SETTLE_MS : QUIET_MS, () => this.#report(state));
    this.#pending = { state, timer };
  }

  #report(state: State): void {
    this.#pending = undefined;
    const now = stateOf(this.#path);
    // Not every file system reports each write.
    if (!isSame(now, state)) return this.#wait(now);
    this.#reported = state;
    this.#isWritten = false;
    this.#changed();
  }
}

const inodeOf = (state: State): bigint | undefined => (state === 'gone' ? undefined : state.inode);

function isSame(one: State, other: State): boolean {
  if (one === 'gone' || other === 'gone') return one === other;
  return one.inode === other.inode && one.size === other.size && one.writtenNs === other.writtenNs;
}

function stateOf(path: string): State {
  try {
    const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
    return stats === undefined ? 'gone' : { inode: stats.ino, size: stats.size, writtenNs: stats.mtimeNs };
  } catch {
    // A folder on the way that this user may not enter any more.
    return 'gone';
  }
}
