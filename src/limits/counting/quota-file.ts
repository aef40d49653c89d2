import { renameSync, statSync } from 'node:fs';
import type { Observe } from '../../contracts/event.ts';
import { readFileBounded } from '../../files/read-file.ts';
import { replaceFileDurably } from '../../files/replace-file.ts';
import type { Clock } from '../../util/clock.ts';
import { redact } from '../../util/redact.ts';
import type { SavedQuotas, SavedUsage } from './quota-counter.ts';

/** A crash forgets at most the bytes of this time; a write for every chunk would wear the disk. */
const SAVE_EVERY_MS = 5000;
/** Twenty times a file with every key that is counted: a larger one was not written by this program. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;
const READ_OPTIONS = { bytesMax: FILE_BYTES_MAX, pipes: 'refuse' } as const;
const VERSION = 1;

/** The content of the file. Lists of pairs, since a user may be called `__proto__`. */
interface QuotaFileContent {
  readonly version: number;
  readonly quotas: readonly (readonly [id: string, used: readonly (readonly [string, number, string])[]])[];
}

/** Keeps quotas in a small file, so that a restart does not reset them. */
export class QuotaFile implements AsyncDisposable {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #observe: Observe;
  #timer: Disposable | undefined;
  #saving: Promise<void> = Promise.resolve();
  #isFailing = false;
  /** The file could not be read, so it may be anything: it is not replaced in this run. */
  #isWriteDisabled = false;
  #snapshot: () => SavedQuotas = () => new Map();

  constructor(path: string, clock: Clock, observe: Observe) {
    this.#path = path;
    this.#clock = clock;
    this.#observe = observe;
  }

  /**
   * The quotas of the file. A damaged or foreign file is renamed, with a notice, and counting begins at 0. A path that is
   * no regular file or cannot be read is left alone, with a notice, and quotas are not saved.
   */
  load(): SavedQuotas {
    let text: string | undefined;
    try {
      const { size } = regularFile(this.#path);
      if (size <= FILE_BYTES_MAX) text = readFileBounded(this.#path, READ_OPTIONS).toString('utf8');
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') this.#disableWrites(error);
      return new Map();
    }
    try {
      if (text === undefined) throw new Error('is too large for a quota file');
      return parse(text);
    } catch (error) {
      this.#setAside(error);
      return new Map();
    }
  }

  /** Writes the result of `snapshot` within `SAVE_EVERY_MS`. */
  saveSoon(snapshot: () => SavedQuotas): void {
    if (this.#timer || this.#isWriteDisabled) return;
    this.#snapshot = snapshot;
    this.#timer = this.#clock.after(SAVE_EVERY_MS, () => {
      this.#timer = undefined;
      this.#save();
    });
  }

  /** Writes what has changed since the last time. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#timer) {
      this.#timer[Symbol.dispose]();
      this.#timer = undefined;
      this.#save();
    }
    await this.#saving;
  }

  #save(): void {
    this.#saving = this.#saving.then(async () => {
      try {
        await replaceFileDurably(this.#path, serialise(this.#snapshot()));
        this.#isFailing = false;
      } catch (error) {
        if (!this.#isFailing) this.#report('error', `${redact(this.#path)}: ${unsaved(error)}`);
        this.#isFailing = true;
      }
    });
  }

  #disableWrites(error: unknown): void {
    this.#isWriteDisabled = true;
    this.#report('error', `${redact(this.#path)}: ${unsaved(error)}`);
  }

  #setAside(error: unknown): void {
    const reason = reasonOf(error);
    try {
      renameSync(this.#path, `${this.#path}.bad`);
      this.#report(
        'warn',
        `${redact(this.#path)}: ${reason}; renamed to ${redact(this.#path)}.bad, and quotas begin at 0`,
      );
    } catch {
      this.#report('error', `${redact(this.#path)}: ${reason}; quotas begin at 0`);
    }
  }

  #report(level: 'warn' | 'error', message: string): void {
    this.#observe({ type: 'notice', level, message });
  }
}

/** Throws for a directory, a pipe or a device: a pipe never ends, and renaming one would break the programs that use it. */
function regularFile(path: string): { readonly size: number } {
  const stats = statSync(path);
  if (!stats.isFile()) throw new Error('it is not a regular file');
  return stats;
}

function serialise(quotas: SavedQuotas): string {
  const written: QuotaFileContent = {
    version: VERSION,
    quotas: [...quotas].map(([id, keys]) => [
      id,
      [...keys].map(([key, kept]) => [key, kept.sinceMs, String(kept.used)]),
    ]),
  };
  return `${JSON.stringify(written)}\n`;
}

function parse(text: string): SavedQuotas {
  const damaged = new Error('is damaged');
  let written: unknown;
  try {
    written = JSON.parse(text);
  } catch {
    throw damaged;
  }
  if (typeof written !== 'object' || written === null || !('version' in written) || !('quotas' in written))
    throw damaged;
  if (written.version !== VERSION) throw new Error('is of another version');
  return new Map(listOf(written.quotas, damaged).map((entry) => parseQuota(entry, damaged)));
}

function parseQuota(entry: unknown, damaged: Error): [string, ReadonlyMap<string, SavedUsage>] {
  const [id, keys] = listOf(entry, damaged);
  if (typeof id !== 'string') throw damaged;
  return [id, new Map(listOf(keys, damaged).map((key) => parseUsage(key, damaged)))];
}

function parseUsage(entry: unknown, damaged: Error): [string, SavedUsage] {
  const [key, sinceMs, used] = listOf(entry, damaged);
  if (typeof key !== 'string' || typeof sinceMs !== 'number' || typeof used !== 'string') throw damaged;
  if (!/^\d{1,40}$/.test(used)) throw damaged;
  return [key, { sinceMs, used: BigInt(used) }];
}

function listOf(value: unknown, damaged: Error): readonly unknown[] {
  if (!Array.isArray(value)) throw damaged;
  return value;
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);
const unsaved = (error: unknown): string =>
  `quotas cannot be saved: ${reasonOf(error)}; until the file can be written, a restart resets them`;
const reasonOf = (error: unknown): string => String(codeOf(error) ?? (error instanceof Error ? error.message : error));
