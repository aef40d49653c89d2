import { join } from 'node:path';
import * as z from 'zod';
import { readFileBounded } from '../files/read-file.ts';
import { replaceFile } from '../files/replace-file.ts';
import type { LoginKey } from './login-attempt.ts';

/** A secret that a proxy has rejected, or whose proofs got no response from it. */
export interface Latch {
  readonly why: 'rejected' | 'held';
  /** How often; after each of the first two it is tried once more by itself. */
  readonly refusals: number;
  /** When it is tried once more, on the wall clock; `null`: when the user lifts the latch. */
  readonly retryWallMs: number | null;
}

/** Where latches outlive the process. */
export interface Latches {
  of(secret: string): ReadonlyMap<string, Latch>;
  /** `undefined`: it is lifted. */
  set(key: LoginKey, latch: Latch | undefined): void;
  clear(): void;
  /** What other instances of a fleet have found out, where they share it. Resolves soon, and never rejects. */
  look?(key: LoginKey): Promise<Latch | undefined>;
}

/** Latches that are kept; of more than this the oldest is forgotten, and that secret is sent once more. */
const LATCHES_MAX = 256;
const FILE_BYTES_MAX = 1024 * 1024;

/** A latch as it is written. */
export const latchSchema = z.object({
  why: z.enum(['rejected', 'held']),
  refusals: z.number(),
  retryWallMs: z.number().nullable(),
});
const schema = z.object({
  version: z.literal(1),
  latches: z.array(latchSchema.extend({ secret: z.string(), proxy: z.string() })),
});
type Entry = z.infer<typeof schema>['latches'][number];

/**
 * Latches in a file that only its user can read. It names accounts by ids that mean nothing without `latch.key`. A file
 * that cannot be read counts as empty; one that cannot be written costs only what a restart would forget.
 */
export class LatchFile implements Latches {
  readonly #path: string;

  constructor(stateDir: string) {
    this.#path = join(stateDir, 'latches.json');
  }

  of(secret: string): ReadonlyMap<string, Latch> {
    return new Map(
      this.#read().flatMap(({ secret: one, proxy, ...latch }) => (one === secret ? [[proxy, latch]] : [])),
    );
  }

  set({ secret, proxy }: LoginKey, latch: Latch | undefined): void {
    // Read again: other processes of this user write it too.
    const before = this.#read();
    const others = before.filter((one) => one.secret !== secret || one.proxy !== proxy);
    if (latch === undefined && others.length === before.length) return;
    this.#write(latch === undefined ? others : [...others.slice(1 - LATCHES_MAX), { secret, proxy, ...latch }]);
  }

  clear(): void {
    if (this.#read().length > 0) this.#write([]);
  }

  #read(): readonly Entry[] {
    try {
      const text = readFileBounded(this.#path, { bytesMax: FILE_BYTES_MAX, pipes: 'refuse' }).toString('utf8');
      return schema.parse(JSON.parse(text)).latches;
    } catch {
      return [];
    }
  }

  #write(latches: readonly Entry[]): void {
    try {
      replaceFile(this.#path, `${JSON.stringify({ version: 1, latches })}\n`);
    } catch {
      // The latch still holds in this process.
    }
  }
}
