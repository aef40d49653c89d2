import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SCRIPT_BYTES_MAX, type Validators } from './fetcher.ts';

/** A script as it was last fetched. */
export interface Copy {
  readonly text: string;
  readonly namedBy: 'pac' | 'untrusted-pac';
  readonly validators: Validators;
  /** On the wall clock. */
  readonly fetchedMs: number;
}

/** Networks that a laptop visits have few scripts; the one that was written longest ago goes first. */
const COPIES_MAX = 16;
/** JSON writes a character as six at worst, and three bytes of UTF-8 or one of Latin-1 are a character. */
const FILE_BYTES_MAX = 6 * SCRIPT_BYTES_MAX + 65_536;
const VERSION = 1;

/** Scripts that were fetched, one file for each URL, for a start on a day when their server does not answer. */
export class LastCopies {
  readonly #folder: string;

  /** The folder is made when something is kept: 0700, since a URL may hold a token and a script tells of the network. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** `undefined`: there is none, or it is damaged. Never rejects. */
  async read(url: string): Promise<Copy | undefined> {
    try {
      const path = this.#pathOf(url);
      const status = await stat(path);
      if (!status.isFile() || status.size > FILE_BYTES_MAX) return undefined;
      return parse(await readFile(path, 'utf8'));
    } catch {
      return undefined;
    }
  }

  /** Rejects with what `node:fs` says. */
  async keep(url: string, copy: Copy): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const path = this.#pathOf(url);
    // Nobody else's name: two processes may keep the same script, and rename(2) shows the old file or the new one.
    const temporary = `${path}.${process.pid}.${randomUUID()}.tmp`;
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(JSON.stringify({ version: VERSION, ...copy }));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await this.#forgetOldest();
  }

  #pathOf(url: string): string {
    return join(this.#folder, `${createHash('sha256').update(url).digest('hex').slice(0, 32)}.json`);
  }

  /** Leftovers of a crash between two steps of `keep` count as copies, and go in their turn. */
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

function parse(json: string): Copy | undefined {
  const kept = fieldsOf(JSON.parse(json));
  const [text, namedBy, fetchedMs] = [kept.get('text'), kept.get('namedBy'), kept.get('fetchedMs')];
  if (kept.get('version') !== VERSION || typeof text !== 'string' || typeof fetchedMs !== 'number') return undefined;
  if (namedBy !== 'pac' && namedBy !== 'untrusted-pac') return undefined;
  const validators = fieldsOf(kept.get('validators'));
  const url = validators.get('url');
  if (typeof url !== 'string') return undefined;
  const [etag, lastModified] = [textOf(validators.get('etag')), textOf(validators.get('lastModified'))];
  return { text, namedBy, validators: { url, etag, lastModified }, fetchedMs };
}

const fieldsOf = (value: unknown): ReadonlyMap<string, unknown> =>
  new Map(typeof value === 'object' && value !== null ? Object.entries(value) : []);
const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
