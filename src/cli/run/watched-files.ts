import { watchFile } from '../../files/watch-file.ts';
import type { Logger } from '../../observe/logger.ts';
import type { Clock } from '../../util/clock.ts';
import { redact } from '../../util/redact.ts';

export interface WatchedFilesOptions {
  readonly clock: Clock;
  readonly onChange: (file: string) => void;
  readonly logger: Logger;
}

/** Watches the files of the configuration, which a reload may change. */
export class WatchedFiles implements Disposable {
  readonly #options: WatchedFilesOptions;
  readonly #watches = new Map<string, Disposable | undefined>();

  constructor(options: WatchedFilesOptions) {
    this.#options = options;
  }

  /** Watches exactly these files from now on. */
  setFiles(files: readonly string[]): void {
    for (const [file, watch] of this.#watches) {
      if (files.includes(file)) continue;
      watch?.[Symbol.dispose]();
      this.#watches.delete(file);
    }
    for (const file of files) if (!this.#watches.has(file)) this.#watches.set(file, this.#watch(file));
  }

  [Symbol.dispose](): void {
    this.setFiles([]);
  }

  #watch(file: string): Disposable | undefined {
    const { clock, onChange, logger } = this.#options;
    try {
      return watchFile(file, clock, () => onChange(file));
    } catch (error) {
      // The system may have no watch left (inotify(7)); the proxy works without one.
      logger.warn(
        `${redact(file)} is not watched (${error instanceof Error ? error.message : error}); SIGHUP reloads it`,
      );
      return undefined;
    }
  }
}
