import { isDeepStrictEqual } from 'node:util';
import { type AccessLog, type AccessLogDeps, accessLog } from '../observe/access-log.ts';
import type { Hub } from '../observe/hub.ts';
import type { LogLevel, LogOptions } from '../observe/options.ts';
import { requestDiagnostics } from '../observe/request-diagnostics.ts';

/** A log that is open and not used yet: one of the two is called, once. */
export interface PreparedLog {
  /** Writes there from now on; resolves when the log before is written out and closed. */
  commit(): Promise<void>;
  abandon(): Promise<void>;
}

/** The access log that is written now, and the lines of requests in the diagnostic log. Their hub closes them. */
export class ActiveLog {
  readonly #events: Hub;
  readonly #deps: AccessLogDeps;
  #options: LogOptions;
  #log: AccessLog | undefined;
  #subscription: AsyncDisposable | undefined;
  /** There while the level is `debug`. */
  #diagnostics: AsyncDisposable | undefined;

  /** Throws LogFileError when the file cannot be opened. */
  constructor(events: Hub, options: LogOptions, deps: AccessLogDeps) {
    this.#events = events;
    this.#deps = deps;
    this.#options = options;
    this.#log = accessLog(options, deps);
    this.#subscription = this.#log && events.add(this.#log);
    this.#setLevel(options.level);
  }

  /** After a rotation by another program: goes on in a new file of the same name. */
  reopen(): void {
    this.#log?.reopen();
  }

  /** Throws LogFileError when the file cannot be opened. */
  prepare(options: LogOptions): PreparedLog {
    const { level, ...next } = options;
    const { level: _level, ...current } = this.#options;
    if (isDeepStrictEqual(next, current)) {
      return {
        commit: async () => {
          this.#options = options;
          this.#setLevel(level);
          // A tool that rotates logs may have moved the file away, and asks for a reload so that a new one is begun.
          this.reopen();
        },
        abandon: () => Promise.resolve(),
      };
    }
    const log = accessLog(options, this.#deps);
    return {
      commit: async () => {
        const previous = this.#subscription;
        this.#options = options;
        this.#log = log;
        this.#subscription = log && this.#events.add(log);
        this.#setLevel(level);
        await previous?.[Symbol.asyncDispose]();
      },
      abandon: async () => await log?.[Symbol.asyncDispose](),
    };
  }

  #setLevel(level: LogLevel): void {
    if (level === 'debug') this.#diagnostics ??= this.#events.add(requestDiagnostics(this.#events.observe));
    else {
      void this.#diagnostics?.[Symbol.asyncDispose]();
      this.#diagnostics = undefined;
    }
  }
}
