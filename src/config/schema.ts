import * as z from 'zod';
import { type Config, type ConfigInput, configSchema } from './config.ts';
import { crossCheck } from './cross-checks.ts';
import type { Environment } from './environment.ts';
import { expandHostLists, type HostList, placedInList } from './host-lists.ts';
import { defaultsOf, type JsonSchema } from './json-schema.ts';
import { suggestion } from './nearest.ts';
import { ConfigError, describeValue, isRecord, type Problem, pathText, problemsOf } from './problems.ts';

export type { ConfigInput };

/** The settings as JSON Schema, with descriptions and defaults. */
export function configJsonSchema(): JsonSchema {
  return z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
}

/** Every setting that has a default, with it, in the form in which a file would write it. */
export const configDefaults = (): unknown => defaultsOf(configJsonSchema());

/** Settings that were checked: what is wrong with them, or the configuration that they mean; never both. */
export interface CheckResult {
  readonly problems: readonly Problem[];
  readonly config?: Config;
  /** The files that hosts were read from. */
  readonly lists: readonly HostList[];
}

/** zod compiles a checker for each object, which takes longer than to check this many values without one. */
const COMPILE_FROM = 2000;

/** How many values there are in `value`, counted up to `most`. */
function sizeOf(value: unknown, most: number): number {
  if (typeof value !== 'object' || value === null) return 1;
  let size = 1;
  for (const part of Object.values(value)) {
    if (size >= most) break;
    size += sizeOf(part, most - size);
  }
  return size;
}

export function checkInput(values: unknown): CheckResult {
  const whole = expandHostLists(values);
  const { lists } = whole;
  if (whole.problems.length > 0) return { problems: whole.problems, lists };
  const parsed = configSchema.safeParse(whole.values, { jitless: sizeOf(whole.values, COMPILE_FROM) < COMPILE_FROM });
  if (parsed.success) return { problems: [], config: deepFreeze(parsed.data), lists };
  const problems = problemsOf(parsed.error, whole.values, configJsonSchema());
  return { problems: lists.length === 0 ? problems : problems.map((one) => placedInList(one, lists)), lists };
}

/**
 * The library's own defaults: a program that embeds a proxy wants a free port, decides about logs itself, and goes the
 * same way on every machine.
 */
const LIBRARY_DEFAULTS: ConfigInput = { quiet: true, admin: false, routes: { pac: 'none' } };
/** Where `listen` is not set: `port` alone means that port here. */
const LIBRARY_LISTENER: ConfigInput = { listen: 'http://127.0.0.1', port: 0 };

const isSetting = (name: string): boolean => Object.hasOwn(configSchema.in.shape, name);

/** What a program gives besides settings, all of it by name: `undefined` where it has not set one. Functions but for those of OBJECTS. */
export type ProgramOptions = Readonly<Record<string, unknown>>;

interface ObjectOption {
  readonly fits: (value: unknown) => boolean;
  readonly write: string;
}
const has = (value: unknown, method: string): boolean => isRecord(value) && typeof value[method] === 'function';
/** By shape: a signal of another realm, as in a test runner, is no `instanceof` ours. */
const OBJECTS: Readonly<Record<string, ObjectOption>> = {
  signal: { fits: (value) => has(value, 'throwIfAborted'), write: 'write the signal of an AbortController' },
  limitStore: {
    fits: (value) => has(value, 'call') || has(value, 'sendCommand'),
    write: 'write a client of ioredis, iovalkey, redis or @redis/client',
  },
};

/** Throws ConfigError for what is of another kind than its option, and for a name that is no option. */
function checkProgram(program: ProgramOptions, settings: readonly string[]): void {
  const problems = Object.entries(program).flatMap(([name, value]) => {
    const { fits, write } = OBJECTS[name] ?? { fits: (hook) => typeof hook === 'function', write: 'write a function' };
    return value === undefined || fits(value) ? [] : [`${name}: ${describeValue(value)}; ${write}`];
  });
  const known = [...Object.keys(program), ...Object.keys(configSchema.in.shape).filter((name) => name !== 'workers')];
  for (const name of settings) {
    if (isSetting(name)) continue;
    const meant = suggestion(name, known) || `; known here: ${known.join(', ')}`;
    problems.push(`${pathText([name])}: no such option${meant}`);
  }
  if (problems.length > 0) throw new ConfigError(problems);
}

/**
 * The same settings from a plain object, for `startProxy()`, and what else it takes. Throws ConfigError, whose message
 * names each path.
 */
export function resolveOptions(
  given: ConfigInput = {},
  program: ProgramOptions = {},
  environment: Environment = process.env,
): Config {
  const written = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  // The types have no `workers`, but JavaScript programs could set it, and no worker would be started.
  if ('workers' in written) throw new ConfigError(['workers: is for the command alone; hooks do not cross processes']);
  checkProgram(program, Object.keys(written));
  const { routes = {} } = given;
  const defaults = { ...LIBRARY_DEFAULTS, ...(given.listen === undefined && LIBRARY_LISTENER) };
  const checked = checkInput({ ...defaults, ...written, routes: { ...LIBRARY_DEFAULTS.routes, ...routes } });
  const { config } = checked;
  const problems =
    config === undefined
      ? checked.problems
      : crossCheck(config, { environment, program: { hasAuthenticate: program.authenticate !== undefined } });
  if (config !== undefined && problems.length === 0) return config;
  throw new ConfigError(problems.map(({ path, message }) => `${pathText(path) || 'options'}: ${message}`));
}

/** Settings are data: a module that changed them would change them for all others too. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    for (const item of value) deepFreeze(item);
    return Object.freeze(value);
  }
  // An object with methods protects its own state.
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  for (const key in value) deepFreeze(value[key]);
  return Object.freeze(value);
}
