import { TABLE } from './scripts.ts';
import type { StoreLink } from './store-link.ts';

/** Fields of one table: far more than there are accounts and upstream proxies, and less than a megabyte. */
const FIELDS_MAX = 4_096;

/** A small table that all instances read and write. While the store is down nothing is known, and nothing is kept. */
export class StoreTable {
  readonly #link: StoreLink;
  readonly #key: string;

  constructor(link: StoreLink, name: string) {
    this.#link = link;
    this.#key = link.key('table', name);
  }

  async get(field: string): Promise<string | undefined> {
    const value = await this.#call({ field });
    return value === '' ? undefined : value;
  }

  /** `undefined` removes it. */
  set(field: string, value: string | undefined): void {
    void this.#call({ field, value: value ?? '' });
  }

  clear(): void {
    void this.#call({ field: '', clear: true });
  }

  async #call(input: { readonly field: string; readonly value?: string; readonly clear?: true }): Promise<string> {
    try {
      const keys = [this.#link.key('epoch'), this.#key];
      return String((await this.#link.call(TABLE, keys, { ...input, max: FIELDS_MAX }))[1]);
    } catch {
      // The link has said so.
      return '';
    }
  }
}
