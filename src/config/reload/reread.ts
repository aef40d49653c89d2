import type { Config } from '../config.ts';
import { type ConfigFile, readConfig } from '../file.ts';
import { digestOf, withDigests } from '../host-lists.ts';
import { ConfigError, isRecord, valueAt } from '../problems.ts';
import { changedSettings } from '../provenance.ts';
import { fileName, type LoadedConfig, load, type Sources, valuesInForce } from '../sources.ts';

/** The files that the configuration in force was read from. */
export interface ConfigFiles {
  /** Of the configuration file; `undefined`: there is none. */
  readonly name: string | undefined;
  readonly bytes: Buffer | undefined;
  /** Digests of the configuration file and of the lists that it names, by path: these are watched. */
  readonly digests: ReadonlyMap<string, string>;
}

/** Sections without which less is refused. */
export const PROTECTIONS: readonly ['access', 'clients', 'guard', 'limits'] = ['access', 'clients', 'guard', 'limits'];
export type Protection = (typeof PROTECTIONS)[number];

/** In a message; the rest of the changed settings are counted. */
const NAMES_MAX = 20;

/** What all sources say now, and what that changes. */
export interface RereadResult {
  readonly config: Config;
  readonly from: ConfigFiles;
  /** Names of settings that differ from those in force: at most `NAMES_MAX` of them, and how many there are. */
  readonly changed: { readonly names: readonly string[]; readonly count: number };
  /** Sections that were there, and are not any more. */
  readonly removed: readonly Protection[];
}

export function configFilesOf({ file, bytes, lists }: Pick<LoadedConfig, 'file' | 'bytes' | 'lists'>): ConfigFiles {
  const own = file && bytes ? [[file.name, digestOf(bytes)] as const] : [];
  return {
    name: file?.name,
    bytes,
    digests: new Map([...own, ...lists.map((list) => [list.file, list.digest] as const)]),
  };
}

/** Reads all sources again. Throws ConfigError where they are not valid, or can only be a mistake. */
export function reread(sources: Sources, before: ConfigFiles): RereadResult {
  // Between the two steps of a save there may be no file; it must not remove all rules.
  if (before.name !== undefined && fileName(sources) === undefined) throw new ConfigError([`${before.name}: is gone`]);
  const loaded = load(sources);
  const from = configFilesOf(loaded);
  const old = isSame(before, from) ? loaded.file : parsed(before);
  if (loaded.file?.isEmpty === true && isRecord(old?.values) && Object.keys(old.values).length > 0) {
    throw new ConfigError([
      `${loaded.file.name}: is empty, and the one in force has settings; write {} to take them all back`,
    ]);
  }
  const [was, is] = [isSame(before, from) ? loaded.values : valuesInForce(sources, old), loaded.values];
  const changed = changedSettings(withDigests(was, before.digests), withDigests(is, from.digests));
  return {
    config: loaded.config,
    from,
    changed: { names: changed.slice(0, NAMES_MAX), count: changed.length },
    removed: PROTECTIONS.filter((section) => isThere(was, section) && !isThere(is, section)),
  };
}

const isSame = (one: ConfigFiles, other: ConfigFiles): boolean =>
  one.name === other.name && one.bytes !== undefined && other.bytes?.equals(one.bytes) === true;

const parsed = ({ name, bytes }: ConfigFiles): ConfigFile | undefined =>
  name === undefined || bytes === undefined ? undefined : readConfig(bytes, name);

/** An empty section is as good as none. */
function isThere(values: unknown, section: Protection): boolean {
  const value = valueAt(values, [section]);
  return isRecord(value) && Object.keys(value).length > 0;
}
