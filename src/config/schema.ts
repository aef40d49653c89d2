import { z } from 'zod';
import { duration } from '../core/setting.ts';
import { type CredentialsInput, type CredentialsOptions, credentialsSchema } from '../credentials/options.ts';
import { type ClientsInput, type ClientsOptions, clientsSchema } from '../identity/options.ts';
import { type LimitsInput, type LimitsOptions, limitsSchema } from '../limits/options.ts';
import { clientTimeouts, completeListen, type Listen, listenSchema } from '../listeners/options.ts';
import { type LogInput, type LogOptions, logSchema } from '../observe/options.ts';
import {
  type AccessInput,
  type AccessOptions,
  accessSchema,
  type GuardInput,
  type GuardOptions,
  guardSchema,
} from '../policy/options.ts';
import { type RelayKind, relayKind, relayTimeouts } from '../relay/options.ts';
import type { RoutesInput, RoutesOptions } from '../routing/options.ts';
import { type UpstreamsInput, type UpstreamsOptions, upstreamsSchema, upstreamTimeouts } from '../upstream/options.ts';
import { type WorkersOptions, workersSchema } from '../workers/options.ts';
import { crossCheck, type KnownBy } from './cross-checks.ts';
import { defaultsOf, type JsonSchema } from './outline.ts';
import { ConfigError, type Problem, pathText, problemsOf } from './problems.ts';
import { readRoutes } from './routes.ts';

/** Every wait, in milliseconds. What each bounds stands in the `options.ts` of its room. */
export interface Timeouts {
  readonly connectMs: number;
  readonly headMs: number;
  readonly requestHeadMs: number;
  readonly requestBodyMs: number;
  readonly idleMs: number;
  readonly lingerMs: number;
  readonly drainMs: number;
}

/** A complete configuration: every default resolved, deeply frozen. */
export interface Config {
  readonly listen: readonly Listen[];
  /** The user said that everyone who reaches an exposed listener may use it. */
  readonly open: boolean;
  readonly clients: ClientsOptions;
  readonly access: AccessOptions;
  readonly guard: GuardOptions;
  readonly limits: LimitsOptions;
  readonly routes: RoutesOptions;
  readonly upstreams: UpstreamsOptions;
  readonly credentials: CredentialsOptions;
  readonly timeouts: Timeouts;
  readonly relay: RelayKind;
  readonly log: LogOptions;
  readonly workers: WorkersOptions;
  /** Our name in `Via` and `Proxy-Status`. */
  readonly name: string;
  readonly quiet: boolean;
  readonly verbose: boolean;
}

type Wait = string | number | undefined;

/** A configuration as a person or a program writes it: everything may be left out. */
export interface ConfigInput {
  readonly listen?: string | readonly string[] | undefined;
  readonly port?: number | undefined;
  readonly open?: boolean | undefined;
  readonly clients?: ClientsInput | undefined;
  readonly access?: AccessInput | undefined;
  readonly guard?: GuardInput | undefined;
  readonly limits?: LimitsInput | undefined;
  readonly routes?: RoutesInput | undefined;
  readonly upstreams?: UpstreamsInput | undefined;
  readonly credentials?: CredentialsInput | undefined;
  readonly timeouts?:
    | {
        readonly connect?: Wait;
        readonly head?: Wait;
        readonly requestHead?: Wait;
        readonly requestBody?: Wait;
        readonly idle?: Wait;
        readonly linger?: Wait;
        readonly drain?: Wait;
      }
    | undefined;
  readonly relay?: RelayKind | undefined;
  readonly log?: LogInput | undefined;
  readonly name?: string | undefined;
  readonly quiet?: boolean | undefined;
  readonly verbose?: boolean | undefined;
}

/** A token (RFC 9110 §5.6.2): it stands bare in `Via` and `Proxy-Status`. */
const NAME = /^[A-Za-z][\w.-]{0,62}$/;

const timeouts = z
  .strictObject({
    ...upstreamTimeouts,
    ...clientTimeouts,
    ...relayTimeouts,
    drain: duration('may-be-0')
      .prefault('30s')
      .describe('After SIGINT or SIGTERM: how long open requests may go on before they are cut.'),
  })
  .transform((waits) => ({
    connectMs: waits.connect,
    headMs: waits.head,
    requestHeadMs: waits.requestHead,
    requestBodyMs: waits.requestBody,
    idleMs: waits.idle,
    lingerMs: waits.linger,
    drainMs: waits.drain,
  }));

const schema = z
  .strictObject({
    listen: z
      .union([listenSchema, z.array(listenSchema).min(1, 'names no listener; write for example [localhost:3128]')])
      .prefault('localhost')
      .describe(
        'Where to listen: `HOST`, `HOST:PORT`, `[V6]:PORT`, `http://HOST:PORT` or `unix:/PATH`, one or a list. `localhost` is 127.0.0.1 and ::1, of which one may be missing.',
      ),
    port: z
      .number()
      .int()
      .min(0)
      .max(65_535)
      .prefault(3128)
      .describe('Port of the listeners that name none; 0 picks a free one.'),
    open: z
      .boolean()
      .prefault(false)
      .describe(
        'Lets everyone who reaches an exposed listener use the proxy, without `clients.users` or `clients.allow`.',
      ),
    clients: clientsSchema.prefault({}).describe('Who may use the proxy.'),
    access: accessSchema
      .prefault([])
      .describe('Where they may go: rules in order, the first that matches decides. Default: allow.'),
    guard: guardSchema.prefault({}).describe('Which addresses are never dialled, judged on every resolved address.'),
    limits: limitsSchema.prefault({}).describe('How much: bandwidth, tunnels, requests and quotas.'),
    routes: readRoutes
      .prefault({})
      .describe('By which way: exceptions, rules, a PAC and upstream proxies, asked in this order.'),
    upstreams: upstreamsSchema.prefault([]).describe('What is special about upstream proxies, by their host.'),
    credentials: credentialsSchema
      .prefault({})
      .describe('Who we are at upstream proxies, and which of them may be told.'),
    timeouts: timeouts.prefault({}).describe('How long anything may take. A bare number counts seconds.'),
    workers: workersSchema.prefault(1),
    relay: relayKind,
    log: logSchema.prefault({}).describe('The access log: one record for every finished request.'),
    name: z
      .string()
      .regex(NAME, 'is no name for Via; write letters, digits, dots and dashes, beginning with a letter')
      .prefault('viaduct')
      .describe('Our name in `Via` and `Proxy-Status`.'),
    quiet: z.boolean().prefault(false).describe('Say nothing but errors on standard error.'),
    verbose: z.boolean().prefault(false).describe('Say more on standard error, stack traces included.'),
  })
  .transform(({ listen, port, ...rest }): Config => {
    const written = Array.isArray(listen) ? listen : [listen];
    return { ...rest, listen: written.flatMap((one) => completeListen(one, port)) };
  });

/** The settings as JSON Schema, with descriptions and defaults. */
export function configOutline(): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
}

/** Every setting that has a default, with it, in the form in which a file would write it. */
export const configDefaults = (): unknown => defaultsOf(configOutline());

/** What is wrong with settings, or the configuration that they mean; never both. */
export function checkInput(values: unknown): { readonly problems: readonly Problem[]; readonly config?: Config } {
  const parsed = schema.safeParse(values);
  if (parsed.success) return { problems: [], config: deepFreeze(parsed.data) };
  return { problems: problemsOf(parsed.error, values, configOutline()) };
}

/**
 * The library's own defaults: a program that embeds a proxy wants a free port, decides about logs itself, and goes the
 * same way on every machine.
 */
const LIBRARY_DEFAULTS: ConfigInput = { listen: 'http://127.0.0.1:0', quiet: true, routes: { pac: 'none' } };

/** The same settings from a plain object, for `startProxy()`. Throws ConfigError, whose message names each path. */
export function resolveOptions(given: ConfigInput = {}, knownBy: KnownBy = 'configuration'): Config {
  const written = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  // A program that is not checked by a compiler would wait for processes that never come.
  if ('workers' in written) throw new ConfigError(['workers: is for the command alone; hooks do not cross processes']);
  const { routes = {} } = given;
  const checked = checkInput({ ...LIBRARY_DEFAULTS, ...written, routes: { ...LIBRARY_DEFAULTS.routes, ...routes } });
  const { config } = checked;
  const problems = config === undefined ? checked.problems : crossCheck(config, knownBy);
  if (config !== undefined && problems.length === 0) return config;
  throw new ConfigError(problems.map(({ path, message }) => `${pathText(path) || 'options'}: ${message}`));
}

/** Settings are data: nothing may change them behind the back of whoever read them first. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && !Array.isArray(value)) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
