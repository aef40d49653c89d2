import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, statSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { Observe } from '../core/contracts.ts';
import type { Kept, KeptQuotas } from './counter.ts';

/** A crash forgets at most what was used in this time; a disk is not written to for every chunk. */
const SAVE_EVERY_MS = 5000;
/** Twenty times a file with every key that is counted: a larger one is not ours. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;
const VERSION = 1;

/** The file as it is written. Lists of pairs: a user may be called `__proto__`. */
interface Written {
  readonly version: number;
  readonly quotas: readonly (readonly [id: string, used: readonly (readonly [string, number, string])[]])[];
}

/** Keeps quotas in a small file, so that a restart gives nobody a second helping. */
export class QuotaFile implements AsyncDisposable {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #observe: Observe;
  #timer: Disposable | undefined;
  #saving: Promise<void> = Promise.resolve();
  #isFailing = false;
  /** What is at the path could not be read, so it may be anything: it is not written over in this run. */
  #isLeftAlone = false;
  #snapshot: () => KeptQuotas = () => new Map();

  constructor(path: string, clock: Clock, observe: Observe) {
    this.#path = path;
    this.#clock = clock;
    this.#observe = observe;
  }

  /**
   * What was kept. A file that is not ours or damaged is set aside, with a notice, and counting starts anew. What is no
   * file or cannot be read is left alone, with a notice, and nothing is kept.
   */
  load(): KeptQuotas {
    let text: string | undefined;
    try {
      const { size } = regularFile(this.#path);
      if (size <= FILE_BYTES_MAX) text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') this.#leaveAlone(error);
      return new Map();
    }
    try {
      if (text === undefined) throw new Error('is too large to be ours');
      return parse(text);
    } catch (error) {
      this.#setAside(error);
      return new Map();
    }
  }

  /** Has what `snapshot` returns written within `SAVE_EVERY_MS`. */
  saveSoon(snapshot: () => KeptQuotas): void {
    if (this.#timer || this.#isLeftAlone) return;
    this.#snapshot = snapshot;
    this.#timer = this.#clock.after(SAVE_EVERY_MS, () => {
      this.#timer = undefined;
      this.#save();
    });
  }

  /** Writes what is still to be written. */
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
        await replaceFile(this.#path, serialise(this.#snapshot()));
        this.#isFailing = false;
      } catch (error) {
        if (!this.#isFailing) this.#say('error', `${this.#path}: quotas cannot be kept: ${reasonOf(error)}`);
        this.#isFailing = true;
      }
    });
  }

  #leaveAlone(error: unknown): void {
    this.#isLeftAlone = true;
    this.#say('error', `${this.#path}: quotas cannot be kept: ${reasonOf(error)}`);
  }

  #setAside(error: unknown): void {
    const reason = reasonOf(error);
    try {
      renameSync(this.#path, `${this.#path}.bad`);
      this.#say('warn', `${this.#path}: ${reason}; set aside as ${this.#path}.bad, and quotas count anew`);
    } catch {
      this.#say('error', `${this.#path}: ${reason}; quotas count anew`);
    }
  }

  #say(level: 'warn' | 'error', message: string): void {
    this.#observe({ type: 'notice', level, message });
  }
}

/** Throws for a directory, a pipe or a device: to rename it would take it from whoever uses it, a pipe never ends. */
function regularFile(path: string): { readonly size: number } {
  const stats = statSync(path);
  if (!stats.isFile()) throw new Error('it is not a regular file');
  return stats;
}

function serialise(quotas: KeptQuotas): string {
  const written: Written = {
    version: VERSION,
    quotas: [...quotas].map(([id, keys]) => [
      id,
      [...keys].map(([key, kept]) => [key, kept.sinceMs, String(kept.used)]),
    ]),
  };
  return `${JSON.stringify(written)}\n`;
}

function parse(text: string): KeptQuotas {
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
  return new Map(listOf(written.quotas, damaged).map((entry) => pairOf(entry, damaged)));
}

function pairOf(entry: unknown, damaged: Error): [string, ReadonlyMap<string, Kept>] {
  const [id, keys] = listOf(entry, damaged);
  if (typeof id !== 'string') throw damaged;
  return [id, new Map(listOf(keys, damaged).map((key) => keptOf(key, damaged)))];
}

function keptOf(entry: unknown, damaged: Error): [string, Kept] {
  const [key, sinceMs, used] = listOf(entry, damaged);
  if (typeof key !== 'string' || typeof sinceMs !== 'number' || typeof used !== 'string') throw damaged;
  if (!/^\d{1,40}$/.test(used)) throw damaged;
  return [key, { sinceMs, used: BigInt(used) }];
}

function listOf(value: unknown, damaged: Error): readonly unknown[] {
  if (!Array.isArray(value)) throw damaged;
  return value;
}

/**
 * The old content or the new one, whenever the power goes: rename(2) is atomic, and it is called when the new bytes are
 * on the disk. 0600, since the file tells who uses the proxy and how much. The temporary name is nobody else's: two
 * processes with one file would rename each other's half-written bytes.
 */
async function replaceFile(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.${randomUUID()}.tmp`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Without it the rename may be lost with the power; Windows cannot open a directory and needs no such thing. */
async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);
const reasonOf = (error: unknown): string => String(codeOf(error) ?? (error instanceof Error ? error.message : error));
