/** Calls back after a change of a file, once per burst. May throw where nothing can be watched. */
export type WatchFile = (path: string, changed: () => void) => Disposable;

/** Watches the file of a script, at most one at a time. */
export class FileWatch implements Disposable {
  readonly #watch: WatchFile;
  readonly #changed: () => void;
  #current: { readonly path: string; readonly watch: Disposable } | undefined;

  constructor(watch: WatchFile, changed: () => void) {
    this.#watch = watch;
    this.#changed = changed;
  }

  /** Watches this file and no other; `undefined`: none. */
  follow(path: string | undefined): void {
    if (this.#current?.path === path) return;
    this[Symbol.dispose]();
    if (path === undefined) return;
    try {
      this.#current = { path, watch: this.#watch(path, this.#changed) };
    } catch {
      // The folder does not exist yet, or the system has no watch left: the file is read again from time to time anyway.
    }
  }

  [Symbol.dispose](): void {
    this.#current?.watch[Symbol.dispose]();
    this.#current = undefined;
  }
}
