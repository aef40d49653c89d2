import { isDeepStrictEqual } from 'node:util';
import { redactKeepingUser } from '../util/redact.ts';
import type { ConfigFile } from './file.ts';
import { isRecord, type Path, pathText, valueAt } from './problems.ts';

/** Where each setting came from. */
export class Provenance {
  readonly #file: ConfigFile | undefined;
  readonly #labels = new Map<string, string>();
  readonly #sections = new Set<string>();

  constructor(file: ConfigFile | undefined) {
    this.#file = file;
  }

  /** A flag or a variable decided this setting. */
  record(path: Path, label: string): void {
    this.#labels.set(pathText(path), label);
    this.#sections.add(String(path[0]));
  }

  /** Whether a flag or a variable decided something in this section. */
  overrides(section: string): boolean {
    return this.#sections.has(section);
  }

  /** `--port`, `VIADUCT_PORT`, `viaduct.yaml:12` or `default`. */
  of(path: Path): string {
    for (let length = path.length; length > 0; length--) {
      const label = this.#labels.get(pathText(path.slice(0, length)));
      if (label !== undefined) return label;
    }
    if (this.#file === undefined || valueAt(this.#file.values, path.slice(0, 1)) === undefined) return 'default';
    // What a flag reads from a missing part of the file is still a default, except where a list says it whole.
    const isWritten = path.some((part) => typeof part === 'number') || valueAt(this.#file.values, path) !== undefined;
    return isWritten ? `${this.#file.name}:${this.#file.lineAt(path)}` : 'default';
  }

  /** One line about a setting, with its place in front. */
  placed(path: Path, message: string): string {
    const origin = this.of(path);
    if (origin.startsWith('--') || origin.startsWith('VIADUCT_')) return `${origin}: ${message}`;
    const text = pathText(path);
    const place = origin === 'default' ? placeOfDefault(this.#file, path) : origin;
    return [place, text, message].filter((part) => part !== '').join(': ');
  }
}

/** Something is missing: say where it would stand. */
function placeOfDefault(file: ConfigFile | undefined, path: Path): string {
  return file === undefined ? '' : `${file.name}:${file.lineAt(path)}`;
}

/** One setting as `viaduct check` prints it. */
export interface ShownSetting {
  readonly path: string;
  readonly value: string;
  readonly origin: string;
}

/** Settings whose values are always secret: hashes of passwords can be attacked offline. */
const SECRET_MAPS: ReadonlySet<string> = new Set(['clients.users']);

/** Every setting in force: what was written, and defaults for the rest; secrets are masked. */
export function settingsInForce(values: unknown, defaults: unknown, provenance: Provenance): ShownSetting[] {
  return leavesOf(values, defaults).map(({ path, value }) => {
    const isSecret = path.length > 1 && SECRET_MAPS.has(pathText(path.slice(0, -1)));
    return { path: pathText(path), value: isSecret ? '•••' : plain(value), origin: provenance.of(path) };
  });
}

/** Settings that differ between two sets of values, by name. Secrets are compared, never shown. */
export function changedSettings(before: unknown, after: unknown): string[] {
  const sections = [...new Set([...keysOf(before), ...keysOf(after)])];
  return sections.flatMap((key) => {
    const [old, now] = [valueAt(before, [key]), valueAt(after, [key])];
    return isDeepStrictEqual(old, now) ? [] : changedBelow(old, now, [key]);
  });
}

function changedBelow(before: unknown, after: unknown, path: Path): string[] {
  const flat = (values: unknown) =>
    new Map(leavesOf(values, undefined, path).map((leaf) => [JSON.stringify(leaf.path), leaf]));
  const [old, now] = [flat(before), flat(after)];
  const isSame = (key: string) => isDeepStrictEqual(old.get(key)?.value, now.get(key)?.value);
  const changed = [...new Map([...old, ...now])].filter(([key]) => !isSame(key));
  return changed.map(([, leaf]) => pathText(leaf.path));
}

interface Leaf {
  readonly path: Path;
  readonly value: unknown;
}

/** All that is not a map: texts, numbers, lists of them, and each entry of a list of maps. */
function leavesOf(value: unknown, fallback: unknown, path: Path = []): Leaf[] {
  if (Array.isArray(value) && value.some(isRecord)) {
    return value.map((item: unknown, at) => ({ path: [...path, at], value: item }));
  }
  const keys = [...new Set([...keysOf(fallback), ...keysOf(value)])];
  if (keys.length > 0 && (value === undefined || isMap(value))) {
    return keys.flatMap((key) => leavesOf(valueAt(value, [key]), valueAt(fallback, [key]), [...path, key]));
  }
  const inForce = value ?? fallback;
  // A section without a setting in force needs no line.
  if (value === undefined && isMap(fallback)) return [];
  return inForce === undefined ? [] : [{ path, value: inForce }];
}

function plain(value: unknown): string {
  const masked = JSON.stringify(value, (_key, one: unknown) =>
    typeof one === 'string' ? redactKeepingUser(one) : one,
  );
  return masked.replaceAll('","', '", "').replaceAll('":"', '": "');
}

const isMap = (value: unknown): boolean => isRecord(value) && !Array.isArray(value);
const keysOf = (value: unknown): string[] => (isRecord(value) && !Array.isArray(value) ? Object.keys(value) : []);
