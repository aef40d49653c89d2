import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { suspiciousCredentials } from '../credentials/environment.ts';
import type { ReadTerms } from '../files/file-terms.ts';
import type { Config } from './config.ts';
import { crossCheck } from './cross-checks.ts';
import {
  type Environment,
  flagsFromEnvironment,
  type NoProxyExceptions,
  noProxyExceptions,
  suspiciousVariables,
} from './environment.ts';
import { type ConfigFile, problemInFile, readBytes, readConfig } from './file.ts';
import { type Flag, FlagError, type FlagValue, type SettingAssignment } from './flags.ts';
import type { HostList } from './host-lists.ts';
import { ConfigError, isRecord, type Path, type Problem, pathText, valueAt } from './problems.ts';
import { Provenance, type ShownSetting, settingsInForce } from './provenance.ts';
import { checkInput, configDefaults } from './schema.ts';

/** Everything that settings may come from. */
export interface Sources {
  readonly flags: readonly FlagValue[];
  readonly environment: Environment;
  /** Whether standard output is a terminal: it decides the default log format. */
  readonly isTerminal: boolean;
  /** Default: `wait`. While requests are served nothing may wait for the writer of a pipe. */
  readonly pipes?: ReadTerms['pipes'];
}

/** A valid configuration, and where each part of it came from. */
export interface LoadedConfig {
  readonly config: Config;
  /** The merged settings as they were written, before defaults. */
  readonly values: unknown;
  readonly provenance: Provenance;
  readonly file: ConfigFile | undefined;
  /** What `file` was read from. */
  readonly bytes: Buffer | undefined;
  /** The files that hosts were read from. */
  readonly lists: readonly HostList[];
  /** Not wrong, but worth a line on standard error. */
  readonly notices: readonly string[];
}

/** Settings of all sources, before they are checked. */
interface MergedSettings {
  readonly values: unknown;
  readonly provenance: Provenance;
  /** Of `NO_PROXY`. */
  readonly notices: readonly string[];
}

/**
 * Merges flags > environment > file > defaults. Throws ConfigError with one line for everything that is wrong. `check` does what
 * `checkInput` does.
 */
export function load(sources: Sources, check: typeof checkInput = checkInput): LoadedConfig {
  const name = fileName(sources);
  const bytes = name === undefined ? undefined : readBytes(name, sources.pipes);
  const file = name === undefined || bytes === undefined ? undefined : readConfig(bytes, name);
  const { values, provenance, notices } = merge(sources, file);
  const checked = check(values);
  // The file must be valid by itself: a mistake that a flag hides would appear when the flag is left out.
  const alone = file && (checked.config === undefined ? file.values : hiddenPart(file.values, provenance));
  if (file !== undefined && alone !== undefined && checkInput(alone).problems.length > 0) {
    refuse(checkInput(file.values).problems, (path, text) => problemInFile(file, path, text));
  }
  const place = (path: Path, text: string) => provenance.placed(path, text);
  refuse(checked.problems, place);
  if (checked.config === undefined) throw new ConfigError(['the configuration cannot be used']);
  refuse(crossCheck(checked.config, { environment: sources.environment }), place);
  writePac(values, checked.config.routes);
  const allNotices = [
    ...suspiciousVariables(sources.environment),
    ...suspiciousCredentials(sources.environment),
    ...notices,
  ];
  return { config: checked.config, values, provenance, file, bytes, lists: checked.lists, notices: allNotices };
}

/** The settings of all sources together, before defaults and without a check; `file` as it was read. */
function merge(sources: Sources, file: ConfigFile | undefined): MergedSettings {
  const provenance = new Provenance(file);
  // Of the file's own values only what a flag changes is copied: they may be large.
  const values: unknown = isRecord(file?.values) ? { ...file.values } : {};
  const environment = flagsFromEnvironment(sources.environment);
  for (const layer of [environment, sources.flags]) applyLayer(layer, values, provenance);
  const exceptions = noProxyExceptions(sources.environment);
  // As with curl, a flag replaces NO_PROXY; the list of a file is joined with NO_PROXY, which holds for every program.
  if (![...environment, ...sources.flags].some(({ flag }) => flag.name === 'noproxy')) {
    addExceptions(exceptions, values, provenance);
  }
  if (valueAt(values, ['log', 'format']) === undefined) {
    const isReadLater = !sources.isTerminal || valueAt(values, ['log', 'file']) !== undefined;
    setAt(values, ['log', 'format'], isReadLater ? 'json' : 'pretty');
  }
  return { values, provenance, notices: exceptions?.notices ?? [] };
}

/** These defaults depend on other settings; in the merged settings stands what is in force. */
function writePac(values: unknown, { pac, pacUnreachable, unreachable }: Config['routes']): void {
  setAt(values, ['routes', 'pac'], pac);
  setAt(values, ['routes', 'unreachable'], unreachable);
  if (pac !== 'none') setAt(values, ['routes', 'pacUnreachable'], pacUnreachable);
}

/** Of what decides these defaults: whether a listener is exposed. */
const DECIDE_ROUTES = ['routes', 'listen', 'port'];

/** As `values` of what `load` gives, for a file that held once. */
export const valuesInForce = (sources: Sources, file: ConfigFile | undefined): unknown => inForce(sources, file).values;

/** Every setting in force and where it came from, as `viaduct check` prints it; secrets are masked. */
export function shownInForce(sources: Sources, file: ConfigFile | undefined): ShownSetting[] {
  const { values, provenance } = inForce(sources, file);
  return settingsInForce(values, configDefaults(), provenance);
}

function inForce(sources: Sources, file: ConfigFile | undefined): Pick<MergedSettings, 'values' | 'provenance'> {
  const { values, provenance } = merge(sources, file);
  const said = DECIDE_ROUTES.map((key) => [key, valueAt(values, [key])] as const);
  const { config } = checkInput(Object.fromEntries(said.filter(([, value]) => value !== undefined)));
  if (config !== undefined) writePac(values, config.routes);
  return { values, provenance };
}

/** The sections of a file in which a flag or a variable has taken the place of something; `undefined`: in none. */
function hiddenPart(values: unknown, provenance: Provenance): unknown {
  if (!isRecord(values)) return undefined;
  const hidden = Object.entries(values).filter(([key]) => provenance.overrides(key));
  return hidden.length === 0 ? undefined : Object.fromEntries(hidden);
}

function refuse(problems: readonly Problem[], place: (path: Path, text: string) => string): void {
  if (problems.length === 0) return;
  throw new ConfigError([...new Set(problems.map(({ path, message }) => place(path, message)))]);
}

/** The file that was named last, or the user's own if there is one. */
export function fileName({ flags, environment }: Sources): string | undefined {
  const named = [...flagsFromEnvironment(environment), ...flags].findLast(({ flag }) => flag.name === 'config');
  if (named !== undefined) return named.text;
  const roaming = process.platform === 'win32' ? environment.APPDATA : undefined;
  const home = environment.XDG_CONFIG_HOME || roaming || join(environment.HOME ?? homedir(), '.config');
  const usual = join(home, 'viaduct', 'viaduct.yaml');
  return existsSync(usual) ? usual : undefined;
}

function applyLayer(layer: readonly FlagValue[], values: unknown, provenance: Provenance): void {
  const written = new Set<string>();
  const pacBelow = valueAt(values, ['routes', 'pac']);
  for (const { flag, text, label } of layer) {
    for (const { path, value } of assignmentsOf(flag, text, label)) {
      const target = flag.name === 'rate' ? rateTarget(values, value) : { path, value };
      const key = pathText(target.path);
      const before = valueAt(values, target.path);
      // A flag that is repeated adds to its list; the first of its layer replaces what lies below.
      const adds = written.has(key) && Array.isArray(before);
      setAt(values, target.path, adds ? appended(before, target.value) : target.value);
      written.add(key);
      provenance.record(target.path, label);
    }
  }
  // Who types `--proxy` wants that proxy, not the PAC of a file; a PAC beside it would leave it the second choice.
  const proxy = layer.findLast(({ flag }) => flag.name === 'proxy');
  if (proxy !== undefined && pacBelow !== undefined && !written.has('routes.pac')) {
    setAt(values, ['routes', 'pac'], 'none');
    provenance.record(['routes', 'pac'], proxy.label);
  }
}

function addExceptions(more: NoProxyExceptions | undefined, values: unknown, provenance: Provenance): void {
  if (more === undefined || more.entries.length === 0) return;
  const path = ['routes', 'noProxy'];
  const given = valueAt(values, path);
  const list: readonly unknown[] = Array.isArray(given) ? given : given === undefined ? [] : [given];
  const label = list.length === 0 ? more.label : `${provenance.of(path)} and ${more.label}`;
  setAt(values, path, [...list, ...more.entries]);
  provenance.record(path, label);
}

function appended(list: readonly unknown[], more: unknown): unknown[] {
  return Array.isArray(more) ? [...list, ...more] : [...list, more];
}

function assignmentsOf(flag: Flag, text: string, label: string): readonly SettingAssignment[] {
  try {
    return flag.apply(text);
  } catch (error) {
    if (error instanceof FlagError) throw new ConfigError([`${label}: ${error.message}`]);
    throw error;
  }
}

/** `--rate` is the limit of the whole proxy: it takes the place of the file's, and the file's other limits stay. */
function rateTarget(values: unknown, limit: unknown): { path: Path; value: unknown } {
  const bandwidth = valueAt(values, ['limits', 'bandwidth']);
  // One limit may be written without a list around it.
  const list = Array.isArray(bandwidth) ? bandwidth : isRecord(bandwidth) ? [bandwidth] : [];
  if (list !== bandwidth) setAt(values, ['limits', 'bandwidth'], list);
  const own = list.findIndex(
    (one) =>
      isRecord(one) && (one.per ?? 'proxy') === 'proxy' && one.match === undefined && one.direction === undefined,
  );
  if (own >= 0) return { path: ['limits', 'bandwidth', own, 'rate'], value: valueAt(limit, ['rate']) };
  return { path: ['limits', 'bandwidth', list.length], value: limit };
}

/** Changes `values`, and copies what it finds on the way below: that may be part of a file that was read. */
function setAt(values: unknown, path: Path, value: unknown): void {
  let at = values;
  for (const [depth, part] of path.entries()) {
    if (!isRecord(at)) return;
    const inner = at[part];
    if (depth === path.length - 1) at[part] = value;
    else if (Array.isArray(inner)) at[part] = [...inner];
    else if (isRecord(inner)) at[part] = { ...inner };
    // `admin: false` gives way to `--admin`.
    else if (inner === undefined || inner === null || inner === false)
      at[part] = typeof path[depth + 1] === 'number' ? [] : {};
    at = at[part];
  }
}
