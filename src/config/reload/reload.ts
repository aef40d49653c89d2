import type { Logger } from '../../observe/logger.ts';
import type { Clock } from '../../util/clock.ts';
import { ConfigError } from '../problems.ts';
import type { ConfigFiles, Protection, RereadResult } from './reread.ts';

/** Several SIGHUPs in this time ask for one reload: services, tools and people send one each. */
const REQUESTS_MS = 1000;

/** `requested`: by SIGHUP, or by a call of `reload`. `changed`: a watched file has other bytes. */
export type ReloadCause = 'requested' | 'changed';

/** `locked`: on Windows another program has the file open and lets no one read it. */
export type FileDigest =
  | { readonly at: 'read'; readonly digest: string }
  | { readonly at: 'unreadable' }
  | { readonly at: 'locked' };

/** An editor keeps its lock for as long as it writes; no event says that it is gone. */
const LOCKED_RETRY_MS = 1000;

/** What became of a reload; `applied`: the configuration that was read is in force. */
export interface ReloadOutcome {
  readonly applied: boolean;
  readonly message: string;
}

/** What a reload needs of the program around it. */
export interface ReloaderOptions {
  readonly clock: Clock;
  /** Reads all sources again. Rejects with ConfigError when they are not valid. */
  read(before: ConfigFiles): Promise<RereadResult>;
  /** The digest of a watched file as it is now. */
  digest(file: string): Promise<FileDigest>;
  /**
   * Differs when a reload would find something else: `files` that it reads, and the log `output` that it opens anew.
   */
  externalState(): Promise<{ readonly files: string; readonly output: string }>;
  /** Puts a configuration in force, whole or not at all. */
  apply(next: RereadResult, cause: ReloadCause): Promise<void>;
  readonly logger: Logger;
}

/**
 * Keeps the configuration in force. A reload is all or nothing: every failure is reported in one line,
 * and everything stays as it was. Two reloads never run at once.
 */
export class Reloader {
  readonly #options: ReloaderOptions;
  #current: ConfigFiles;
  /** Digests of watched files as they were last seen, those of a file with a mistake too. */
  #seen: Map<string, string>;
  /** Files that are read again in a moment. */
  readonly #locked = new Set<string>();
  #running: Promise<void> = Promise.resolve();
  /** Since a request, for `REQUESTS_MS`: whether another one has come. */
  #requests: 'none' | 'one' | 'more' = 'none';
  #externalState = '';
  #outcome: ReloadOutcome = { applied: false, message: 'nothing was reloaded' };

  constructor(first: ConfigFiles, how: ReloaderOptions) {
    this.#options = how;
    this.#current = first;
    this.#seen = new Map(first.digests);
  }

  /** The files that were read; a reload may change them. */
  get files(): readonly string[] {
    return [...this.#current.digests.keys()];
  }

  /** SIGHUP: reads everything again, files that the configuration names included. */
  requested(): Promise<void> {
    if (this.#requests !== 'none') {
      this.#requests = 'more';
      return this.#running;
    }
    this.#requests = 'one';
    // A large configuration takes longer: then for as long as that.
    this.#options.clock.after(REQUESTS_MS, () => void this.#next(() => this.#endOfRequests()));
    return this.#next(() => this.#reloadOnRequest());
  }

  /** As `requested`, at once and for itself: what became of it. */
  async reloadNow(): Promise<ReloadOutcome> {
    await this.#next(() => this.#reloadOnRequest());
    return this.#outcome;
  }

  /** The configuration in force, as it was read. */
  get current(): ConfigFiles {
    return this.#current;
  }

  /** Something happened to a watched file: reloads when its bytes are others. */
  fileTouched(file: string): Promise<void> {
    return this.#next(async () => {
      const found = await this.#options.digest(file);
      if (found.at === 'locked') this.#retryWhileLocked(file);
      // Between the two steps of a save there may be no file: the next event follows.
      if (found.at !== 'read' || found.digest === this.#seen.get(file)) return;
      this.#seen.set(file, found.digest);
      await this.#reload('changed');
    });
  }

  #retryWhileLocked(file: string): void {
    if (this.#locked.has(file)) return;
    this.#locked.add(file);
    this.#options.clock.after(LOCKED_RETRY_MS, () => {
      this.#locked.delete(file);
      if (this.files.includes(file)) void this.fileTouched(file);
    });
  }

  #next(task: () => Promise<void>): Promise<void> {
    this.#running = this.#running.then(task);
    return this.#running;
  }

  async #reloadOnRequest(): Promise<void> {
    const { files } = await this.#options.externalState();
    await this.#reload('requested');
    const { output } = await this.#options.externalState();
    this.#externalState = files + output;
  }

  /** A request shortly after a reload is served by that reload, unless something has changed in between. */
  async #endOfRequests(): Promise<void> {
    const isMore = this.#requests === 'more';
    this.#requests = 'none';
    if (!isMore) return;
    const { files, output } = await this.#options.externalState();
    if (files + output !== this.#externalState) await this.#reloadOnRequest();
  }

  async #reload(cause: ReloadCause): Promise<void> {
    try {
      const next = await this.#options.read(this.#current);
      if (cause === 'requested' || next.changed.count > 0) await this.#options.apply(next, cause);
      this.#current = next.from;
      this.#seen = new Map(next.from.digests);
      this.#logResult(next);
    } catch (error) {
      const message = `${firstLine(error)}; nothing was changed`;
      this.#options.logger.error(message);
      this.#outcome = { applied: false, message };
    }
  }

  #logResult({ from, changed, removed }: RereadResult): void {
    const name = from.name ?? 'configuration';
    const more = changed.count - changed.names.length;
    const names = changed.names.join(', ') + (more > 0 ? ` and ${more} more` : '');
    const message = changed.count > 0 ? `${name}: reloaded: ${names}` : `${name}: nothing changed`;
    this.#options.logger.info(message);
    this.#outcome = { applied: true, message };
    for (const section of removed) this.#options.logger.warn(`${name}: ${section} was removed: ${WITHOUT[section]}`);
  }
}

/** What holds where a section is missing. */
const WITHOUT: Readonly<Record<Protection, string>> = {
  access: 'no rule limits any more where clients may go',
  clients: 'neither addresses nor users limit any more who may use the proxy',
  guard: 'addresses are judged by the defaults again',
  limits: 'nothing is limited any more',
};

function firstLine(error: unknown): string {
  if (!(error instanceof ConfigError)) return `not reloaded: ${error instanceof Error ? error.message : String(error)}`;
  const [first = '', ...more] = error.lines;
  return more.length === 0 ? first : `${first} (and ${more.length} more)`;
}
