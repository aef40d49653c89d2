import { join } from 'node:path';
import * as z from 'zod';
import { FileError } from '../../files/file-terms.ts';
import { readFileBounded } from '../../files/read-file.ts';
import { replaceFile } from '../../files/replace-file.ts';
import { UsageError } from '../print.ts';

const BYTES_MAX = 4 * 1024 * 1024;

/** A change of a text at one place: what was there, and what is. */
const splice = z.strictObject({ at: z.number(), removed: z.string(), inserted: z.string() });

const fileEntry = z.strictObject({
  tool: z.string(),
  kind: z.literal('file'),
  writtenAt: z.string(),
  path: z.string(),
  format: z.string(),
  key: z.array(z.string()),
  /** The value as it was; absent: there was none. */
  before: z.string().optional(),
  value: z.string(),
  splice,
  /** Of the whole text once it was written: where it still holds, undo gives back every byte. */
  sha256: z.string(),
  /** Setup has made the file, and these folders. */
  made: z.strictObject({ folders: z.array(z.string()) }).optional(),
});

const programEntry = z.strictObject({
  tool: z.string(),
  kind: z.literal('program'),
  writtenAt: z.string(),
  program: z.string(),
  key: z.array(z.string()),
  before: z.string().optional(),
  value: z.string(),
});

const journalSchema = z.strictObject({
  version: z.literal(1),
  entries: z.array(z.discriminatedUnion('kind', [fileEntry, programEntry])),
});

export type Splice = z.output<typeof splice>;
export type FileEntry = z.output<typeof fileEntry>;
export type ProgramEntry = z.output<typeof programEntry>;
export type Entry = FileEntry | ProgramEntry;
export type Journal = z.output<typeof journalSchema>;

const EMPTY: Journal = { version: 1, entries: [] };

/** What setup has written, and what was there before. Mode 0600: a value as it was may hold a password. */
export class JournalFile {
  readonly path: string;

  constructor(stateDir: string) {
    this.path = join(stateDir, 'setup.json');
  }

  /** Throws UsageError when it cannot be read: without it nothing may be written or undone. */
  read(): Journal {
    try {
      const text = readFileBounded(this.path, { bytesMax: BYTES_MAX, pipes: 'refuse' }).toString('utf8');
      return journalSchema.parse(JSON.parse(text));
    } catch (error) {
      if (error instanceof FileError && error.code === 'ENOENT') return EMPTY;
      const why = error instanceof FileError ? error.why : 'it is not what setup writes';
      throw new UsageError(`${this.path} cannot be read: ${why}; move it away to begin anew`);
    }
  }

  write(journal: Journal): void {
    replaceFile(this.path, `${JSON.stringify(journal, null, 1)}\n`);
  }
}
