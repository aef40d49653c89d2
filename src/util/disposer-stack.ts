type Part = Disposable | AsyncDisposable;

/**
 * Parts that end together, the last one first. It differs from `AsyncDisposableStack`, which Node 22 lacks, in what a
 * failure means: a part that cannot be disposed is reported by its name, and the others are disposed all the same.
 */
export class DisposerStack implements AsyncDisposable {
  readonly #onFailure: (name: string, error: unknown) => void;
  #disposers: { readonly name: string; readonly dispose: () => unknown }[] = [];
  #disposed: Promise<void> | undefined;

  /** `onFailure` gets the name of the part, for a message to a person. */
  constructor(onFailure: (name: string, error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /** Takes over a part, and returns it. */
  use<T extends Part>(name: string, part: T): T {
    this.defer(name, () => (Symbol.asyncDispose in part ? part[Symbol.asyncDispose]() : part[Symbol.dispose]()));
    return part;
  }

  defer(name: string, dispose: () => unknown): void {
    this.#disposers.push({ name, dispose });
  }

  /** Hands all parts over to another stack, so that the end of this one's scope leaves them alone. */
  move(): DisposerStack {
    const moved = new DisposerStack(this.#onFailure);
    moved.#disposers = this.#disposers;
    this.#disposers = [];
    return moved;
  }

  /** Never rejects. A second call waits for the same end. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#disposeAll();
    return this.#disposed;
  }

  async #disposeAll(): Promise<void> {
    for (const { name, dispose } of this.#disposers.reverse()) {
      try {
        await dispose();
      } catch (error) {
        this.#onFailure(name, error);
      }
    }
  }
}
