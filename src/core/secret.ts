/** A value that prints as bullets everywhere: redaction at the log is a promise, redaction in the type is a fact. */
export class Secret {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  /** The only way to the value; every call site is a place to review. */
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return '•••';
  }
  toJSON(): string {
    return '•••';
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '•••';
  }
}
