import type { ConfigFile } from './file.ts';
import { ConfigError } from './problems.ts';
import { changedSettings } from './provenance.ts';
import type { Loaded } from './sources.ts';

/** What a reload needs of the program around it. */
export interface Reloading {
  /** Reads all sources again. Throws ConfigError when they do not hold. */
  load(): Loaded;
  /** The text of the watched file as it is now; `undefined` while there is none. */
  text(file: ConfigFile): string | undefined;
  /** Puts a configuration in force, whole or not at all. */
  apply(next: Loaded): Promise<void>;
  tell(level: 'info' | 'error', line: string): void;
}

/**
 * Keeps the configuration in force. A reload is all or nothing: whatever fails is told in one line,
 * and everything stays as it was. Two reloads never run at once.
 */
export class Reloader {
  readonly #how: Reloading;
  #current: Loaded;
  #seenText: string | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(first: Loaded, how: Reloading) {
    this.#how = how;
    this.#current = first;
    this.#seenText = first.file?.text;
  }

  /** SIGHUP: reads everything again, files that the configuration names included. */
  requested(): Promise<void> {
    return this.#next(() => this.#reload('requested'));
  }

  /** Something happened beside the file: reloads when its text is another one. */
  fileTouched(): Promise<void> {
    return this.#next(async () => {
      const { file } = this.#current;
      const text = file && this.#how.text(file);
      // Between the two steps of a save there may be no file: the next event tells the rest.
      if (text === undefined || text === this.#seenText) return;
      this.#seenText = text;
      await this.#reload('changed');
    });
  }

  #next(task: () => Promise<void>): Promise<void> {
    this.#running = this.#running.then(task);
    return this.#running;
  }

  async #reload(cause: 'requested' | 'changed'): Promise<void> {
    const name = this.#current.file?.name ?? 'configuration';
    try {
      const loaded = this.#how.load();
      const changed = changedSettings(this.#current.values, loaded.values);
      if (cause === 'requested' || changed.length > 0) await this.#how.apply(loaded);
      this.#current = loaded;
      this.#seenText = loaded.file?.text;
      this.#how.tell(
        'info',
        changed.length > 0 ? `${name}: reloaded: ${changed.join(', ')}` : `${name}: nothing changed`,
      );
    } catch (error) {
      this.#how.tell('error', `${firstLine(error)}; nothing was changed`);
    }
  }
}

function firstLine(error: unknown): string {
  if (!(error instanceof ConfigError)) return `not reloaded: ${error instanceof Error ? error.message : String(error)}`;
  const [first = '', ...more] = error.lines;
  return more.length === 0 ? first : `${first} (and ${more.length} more)`;
}
