import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFileDurably } from '../../files/replace-file.ts';
import { errorCode } from '../../util/error-code.ts';
import { SCRIPT_BYTES_MAX, type Validators } from './fetcher.ts';
import { folderFault, ownFileFault } from './own-file.ts';

/** A script as it was last fetched, on disk. */
export interface CachedScript {
  readonly text: string;
  readonly namedBy: 'pac' | 'untrusted-pac';
  readonly validators: Validators;
  /** On the wall clock. */
  readonly fetchedMs: number;
}

/** The networks that a laptop visits have few scripts; the one that was written longest ago is deleted first. */
const COPIES_MAX = 16;
/** JSON writes a character as six at worst, and a character has at least one byte. */
const FILE_BYTES_MAX = 6 * SCRIPT_BYTES_MAX + 65_536;
/** Files of version 1 may say `pac` for a server whose certificate was not verified. */
const VERSION = 2;
/** Symbolic links are not followed, and opening a pipe does not block. Windows has neither flag. */
const READ_ONLY = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** Scripts that were fetched, one file for each URL, for a start while their server does not answer. */
export class ScriptCache {
  readonly #folder: string;
  readonly #ignored: (message: string) => void;

  /**
   * The folder is created with the first script: 0700, since a URL may hold a token and a script describes the network.
   * `ignored` is called with the reason when another user could have written the cached script.
   */
  constructor(folder: string, ignored: (message: string) => void) {
    this.#folder = folder;
    this.#ignored = ignored;
  }

  /**
   * `undefined`: there is none that may be used, or it is damaged. It is trusted as when it was fetched, but not more than
   * the schemes of its URLs allow. Never rejects.
   */
  async read(url: string): Promise<CachedScript | undefined> {
    const path = this.#pathOf(url);
    try {
      await using file = await open(path, READ_ONLY);
      const fault = (await folderFault(this.#folder)) ?? ownFileFault(await file.stat(), path);
      if (fault === undefined) return copyFor(url, await textOf(file));
      this.#ignored(`the cached PAC is not used: ${fault}`);
    } catch (error) {
      // A link at the end of the path (POSIX open, O_NOFOLLOW).
      if (errorCode(error) === 'ELOOP')
        this.#ignored(`the cached PAC is not used: ${path} is a symbolic link; remove it`);
    }
    return undefined;
  }

  /** Rejects with the error of `node:fs`. */
  async keep(url: string, copy: CachedScript): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const fault = await folderFault(this.#folder);
    if (fault !== undefined) throw new Error(fault);
    await replaceFileDurably(this.#pathOf(url), JSON.stringify({ version: VERSION, ...copy }));
    await this.#forgetOldest();
  }

  #pathOf(url: string): string {
    return join(this.#folder, `${createHash('sha256').update(url).digest('hex').slice(0, 32)}.json`);
  }

  /** Temporary files that a crash left behind count, and are deleted in their turn. */
  async #forgetOldest(): Promise<void> {
    const names = (await readdir(this.#folder)).filter((name) => /^[0-9a-f]{32}\.json/.test(name));
    if (names.length <= COPIES_MAX) return;
    const paths = names.map((name) => join(this.#folder, name));
    const ages = await Promise.all(paths.map(async (path) => ({ path, ms: await modifiedMs(path) })));
    ages.sort((one, other) => other.ms - one.ms);
    await Promise.all(ages.slice(COPIES_MAX).map(({ path }) => rm(path, { force: true })));
  }
}

const modifiedMs = (path: string): Promise<number> =>
  stat(path).then(
    (status) => status.mtimeMs,
    () => 0,
  );

async function textOf(file: FileHandle): Promise<string> {
  const status = await file.stat();
  return status.isFile() && status.size <= FILE_BYTES_MAX ? await file.readFile('utf8') : '';
}

function copyFor(url: string, json: string): CachedScript | undefined {
  const copy = parse(json);
  const isVerified = copy?.namedBy === 'pac' && [url, copy.validators.url].every((from) => from.startsWith('https:'));
  return copy && { ...copy, namedBy: isVerified ? 'pac' : 'untrusted-pac' };
}

function parse(json: string): CachedScript | undefined {
  const fields = fieldsOf(JSON.parse(json));
  const [text, namedBy, fetchedMs] = [fields.get('text'), fields.get('namedBy'), fields.get('fetchedMs')];
  if (fields.get('version') !== VERSION || typeof text !== 'string' || typeof fetchedMs !== 'number') return undefined;
  if (namedBy !== 'pac' && namedBy !== 'untrusted-pac') return undefined;
  const validators = fieldsOf(fields.get('validators'));
  const url = validators.get('url');
  if (typeof url !== 'string') return undefined;
  const [etag, lastModified] = [stringOf(validators.get('etag')), stringOf(validators.get('lastModified'))];
  return { text, namedBy, validators: { url, etag, lastModified }, fetchedMs };
}

const fieldsOf = (value: unknown): ReadonlyMap<string, unknown> =>
  new Map(typeof value === 'object' && value !== null ? Object.entries(value) : []);
const stringOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
