import * as z from 'zod';
import { type Config, type ConfigInput, configSchema } from './config.ts';
import { crossCheck } from './cross-checks.ts';
import type { Environment } from './environment.ts';
import { expandHostLists, type HostList, placedInList } from './host-lists.ts';
import { defaultsOf, type JsonSchema } from './json-schema.ts';
import { suggestion } from './nearest.ts';
import { ConfigError, describeValue, type Problem, pathText, problemsOf } from './problems.ts';

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
const LIBRARY_DEFAULTS: ConfigInput = {
  listen: 'http://127.0.0.1:0',
  quiet: true,
  admin: false,
  routes: { pac: 'none' },
};

const isSetting = (name: string): boolean => Object.hasOwn(configSchema.in.shape, name);

/** Options of a program that are functions, all of them by name: `undefined` where it has not set one. */
export type HookOptions = Readonly<Record<string, unknown>>;

/** Throws ConfigError for a hook that is no function, and for a setting whose name is nearly that of a hook. */
function checkHooks(hooks: HookOptions, settings: readonly string[]): void {
  const problems = Object.entries(hooks)
    .filter(([, hook]) => hook !== undefined && typeof hook !== 'function')
    .map(([name, value]) => `${name}: ${describeValue(value)}; write a function`);
  for (const name of settings) {
    // `limits` is near `limit`, and a setting all the same.
    const meant = isSetting(name) ? '' : suggestion(name, Object.keys(hooks));
    if (meant !== '') problems.push(`${pathText([name])}: no such option${meant}`);
  }
  if (problems.length > 0) throw new ConfigError(problems);
}

/**
 * The same settings from a plain object, for `startProxy()`, and the hooks beside them. Throws ConfigError, whose message
 * names each path.
 */
export function resolveOptions(
  given: ConfigInput = {},
  hooks: HookOptions = {},
  environment: Environment = process.env,
): Config {
  const written = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  // The types have no `workers`, but JavaScript programs could set it, and no worker would be started.
  if ('workers' in written) throw new ConfigError(['workers: is for the command alone; hooks do not cross processes']);
  checkHooks(hooks, Object.keys(written));
  const { routes = {} } = given;
  const checked = checkInput({ ...LIBRARY_DEFAULTS, ...written, routes: { ...LIBRARY_DEFAULTS.routes, ...routes } });
  const { config } = checked;
  const problems =
    config === undefined
      ? checked.problems
      : crossCheck(config, { environment, program: { hasAuthenticate: hooks.authenticate !== undefined } });
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
