import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { deserialize, serialize } from 'node:v8';
import type { Config } from '../../config/config.ts';
import { isRecord } from '../../config/problems.ts';
import { type CheckResult, checkInput, deepFreeze } from '../../config/schema.ts';
import { replaceFile } from '../../files/replace-file.ts';
import { type CompiledCode, compiledCode } from './compiled-code.ts';
import { sealedFor } from './sealed-file.ts';

/** Sections in which no secret can stand, and no name of a file that is read. */
const PLAIN_SECTIONS: ReadonlySet<string> = new Set(['listen', 'port', 'log', 'admin', 'quiet', 'relay', 'workers']);
/** Of `routes`; a URL of a PAC may hold a password. */
const PLAIN_PACS: ReadonlySet<unknown> = new Set([undefined, 'system', 'auto', 'none']);

/** Settings that were checked, as JSON, and what they mean. */
interface Checked {
  readonly values: string;
  readonly config: Config;
}

/**
 * Checks settings as `checkInput` does. What the last start has found is not checked again: to build the schemas of all settings
 * takes as long as Node takes to start, and most starts have the same few flags. It stands beside the code that V8 has compiled, in
 * a folder for this build alone, which is as trusted: code is run from there.
 */
export class CheckedBefore {
  readonly #own: CompiledCode | undefined;
  readonly #path: string;
  #fresh: Checked | undefined;

  constructor(own: CompiledCode | undefined = compiledCode()) {
    this.#own = own;
    this.#path = join(own?.folder ?? '', `settings-${process.version}`);
  }

  readonly check = (values: unknown): CheckResult => {
    const known = isPlain(values) ? this.#read() : undefined;
    if (known !== undefined && known.values === JSON.stringify(values))
      return { problems: [], config: deepFreeze(known.config), lists: [] };
    const written = JSON.stringify(values);
    const checked = checkInput(values);
    if (checked.config !== undefined && isPlain(values)) this.#fresh = { values: written, config: checked.config };
    return checked;
  };

  /** For the next start. Whether there was something to keep. */
  keep(): boolean {
    if (this.#fresh === undefined || this.#own === undefined) return false;
    const bytes = serialize(this.#fresh);
    // An instance of a class would come back without its methods.
    if (!isDeepStrictEqual(deserialize(bytes), this.#fresh)) return false;
    try {
      replaceFile(this.#path, sealedFor(this.#path, bytes), 'latin1');
      return true;
    } catch {
      // The next start checks them again.
      return false;
    }
  }

  #read(): Checked | undefined {
    const bytes = this.#own?.read(this.#path);
    if (bytes === undefined) return undefined;
    try {
      const known: unknown = deserialize(bytes);
      return isChecked(known) ? known : undefined;
    } catch {
      return undefined;
    }
  }
}

const isChecked = (known: unknown): known is Checked =>
  isRecord(known) && isRecord(known.config) && typeof known.values === 'string';

function isPlain(values: unknown): boolean {
  if (!isRecord(values)) return false;
  return Object.entries(values).every(([section, value]) => {
    if (section === 'admin') return typeof value === 'boolean' || hasOnly(value, ['listen']);
    if (section === 'routes') return hasOnly(value, ['pac', 'unreachable']) && PLAIN_PACS.has(value.pac);
    return PLAIN_SECTIONS.has(section);
  });
}

const hasOnly = (value: unknown, keys: readonly string[]): value is Record<string, unknown> =>
  isRecord(value) && Object.keys(value).every((key) => keys.includes(key));
