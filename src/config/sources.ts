import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { doubtfulCredentials } from '../credentials/environment.ts';
import { crossCheck } from './cross-checks.ts';
import { doubtfulVariables, type Environment, type Exceptions, environmentSays, exceptionsIn } from './environment.ts';
import { type ConfigFile, problemInFile, readConfigFile } from './file.ts';
import { type Flag, FlagError, type Said } from './flags.ts';
import { ConfigError, isRecord, type Path, type Problem, pathText, valueAt } from './problems.ts';
import { Provenance } from './provenance.ts';
import { type Config, checkInput } from './schema.ts';

/** A flag or a variable that was given a value; `label` is what the user typed: `--port`, `VIADUCT_PORT`. */
export interface Given {
  readonly flag: Flag;
  readonly text: string;
  readonly label: string;
}

/** Everything that settings may come from. */
export interface Sources {
  readonly flags: readonly Given[];
  readonly environment: Environment;
  /** Whether standard output is a terminal: it decides the default log format. */
  readonly isTerminal: boolean;
}

/** A configuration that holds, and where each part of it came from. */
export interface Loaded {
  readonly config: Config;
  /** The merged settings as they were written, before defaults. */
  readonly values: unknown;
  readonly provenance: Provenance;
  readonly file: ConfigFile | undefined;
  /** Not wrong, but worth a line on standard error. */
  readonly notices: readonly string[];
}

/** Merges flags > environment > file > defaults. Throws ConfigError with one line for everything that is wrong. */
export function load(sources: Sources): Loaded {
  const environment = environmentSays(sources.environment);
  const name = fileName([...environment, ...sources.flags], sources.environment);
  const file = name === undefined ? undefined : readConfigFile(name);
  // The file must hold by itself, so that a flag that hides a mistake today does not uncover it tomorrow.
  if (file !== undefined) refuse(checkInput(file.values).problems, (path, text) => problemInFile(file, path, text));

  const provenance = new Provenance(file);
  const values: unknown = file === undefined ? {} : structuredClone(file.values);
  for (const layer of [environment, sources.flags]) applyLayer(layer, values, provenance);
  const exceptions = exceptionsIn(sources.environment);
  // As with curl, a flag says all of it; what a file says is meant to be joined by what holds for every program.
  if (![...environment, ...sources.flags].some(({ flag }) => flag.name === 'noproxy')) {
    addExceptions(exceptions, values, provenance);
  }
  if (valueAt(values, ['log', 'format']) === undefined) {
    const isReadLater = !sources.isTerminal || valueAt(values, ['log', 'file']) !== undefined;
    setAt(values, ['log', 'format'], isReadLater ? 'json' : 'pretty');
  }

  const checked = checkInput(values);
  const place = (path: Path, text: string) => provenance.placed(path, text);
  refuse(checked.problems, place);
  if (checked.config === undefined) throw new ConfigError(['the configuration cannot be used']);
  refuse(crossCheck(checked.config), place);
  // These defaults depend on other settings; whoever reads the merged settings sees what is in force.
  const { pac, pacUnreachable } = checked.config.routes;
  setAt(values, ['routes', 'pac'], pac);
  if (pac !== 'none') setAt(values, ['routes', 'pacUnreachable'], pacUnreachable);
  const notices = [
    ...doubtfulVariables(sources.environment),
    ...doubtfulCredentials(sources.environment),
    ...(exceptions?.notices ?? []),
  ];
  return { config: checked.config, values, provenance, file, notices };
}

function refuse(problems: readonly Problem[], place: (path: Path, text: string) => string): void {
  if (problems.length === 0) return;
  throw new ConfigError([...new Set(problems.map(({ path, message }) => place(path, message)))]);
}

/** The file that was named last, or the user's own if there is one. */
function fileName(given: readonly Given[], environment: Environment): string | undefined {
  const named = given.findLast(({ flag }) => flag.name === 'config');
  if (named !== undefined) return named.text;
  const home = environment.XDG_CONFIG_HOME || join(environment.HOME ?? homedir(), '.config');
  const usual = join(home, 'viaduct', 'viaduct.yaml');
  return existsSync(usual) ? usual : undefined;
}

function applyLayer(layer: readonly Given[], values: unknown, provenance: Provenance): void {
  const written = new Set<string>();
  const pacBelow = valueAt(values, ['routes', 'pac']);
  for (const { flag, text, label } of layer) {
    for (const { path, value } of saidBy(flag, text, label)) {
      const target = flag.name === 'rate' ? rateTarget(values, value) : { path, value };
      const key = pathText(target.path);
      const before = valueAt(values, target.path);
      // A flag that is repeated adds to its list; the first of its layer replaces what lies below.
      const adds = written.has(key) && Array.isArray(before);
      setAt(values, target.path, adds ? appended(before, target.value) : target.value);
      written.add(key);
      provenance.say(target.path, label);
    }
  }
  // Who types `--proxy` wants that proxy, not the PAC of a file; a PAC beside it would leave it the second choice.
  const proxy = layer.findLast(({ flag }) => flag.name === 'proxy');
  if (proxy !== undefined && pacBelow !== undefined && !written.has('routes.pac')) {
    setAt(values, ['routes', 'pac'], 'none');
    provenance.say(['routes', 'pac'], proxy.label);
  }
}

function addExceptions(more: Exceptions | undefined, values: unknown, provenance: Provenance): void {
  if (more === undefined || more.entries.length === 0) return;
  const path = ['routes', 'noProxy'];
  const given = valueAt(values, path);
  const list: readonly unknown[] = Array.isArray(given) ? given : given === undefined ? [] : [given];
  const label = list.length === 0 ? more.label : `${provenance.of(path)} and ${more.label}`;
  setAt(values, path, [...list, ...more.entries]);
  provenance.say(path, label);
}

function appended(list: readonly unknown[], more: unknown): unknown[] {
  return Array.isArray(more) ? [...list, ...more] : [...list, more];
}

function saidBy(flag: Flag, text: string, label: string): readonly Said[] {
  try {
    return flag.says(text);
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

function setAt(values: unknown, path: Path, value: unknown): void {
  let at = values;
  for (const [depth, part] of path.entries()) {
    if (!isRecord(at)) return;
    if (depth === path.length - 1) at[part] = value;
    else at[part] ??= typeof path[depth + 1] === 'number' ? [] : {};
    at = at[part];
  }
}
