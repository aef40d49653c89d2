import * as z from 'zod';
import { addressBlock } from '../settings/address-setting.ts';
import { duration } from '../settings/duration-setting.ts';
import { hostPattern } from '../settings/host-setting.ts';
import { listOrOne, type OneOrList } from '../settings/list-setting.ts';
import { type SecretOrigin, secretOrigin } from '../settings/secret-origin.ts';
import { parseStoreAddress, type StoreAddress } from '../settings/store-address.ts';
import { parseBytes, parseDuration, parseRate } from '../settings/units.ts';

/** What a limit counts by: everything together, or each client address, user, target host or tunnel by itself. */
export type Per = 'proxy' | 'client' | 'user' | 'host' | 'tunnel';
export type LimitDirection = 'up' | 'down' | 'both';
export type Priority = 'normal' | 'background';

/** Conditions on the requests that a bandwidth limit applies to: all that are set must be met. */
export interface LimitMatch {
  readonly hosts?: readonly string[] | undefined;
  readonly users?: readonly string[] | undefined;
  readonly clients?: readonly string[] | undefined;
  readonly ports?: readonly number[] | undefined;
}
export interface BandwidthOptions {
  readonly name?: string | undefined;
  readonly per: Per;
  /** Bytes per second; absent only where `priority` alone is set. */
  readonly rate?: number | undefined;
  readonly direction: LimitDirection;
  /** Bytes that may pass at once after a pause; absent: what the rate lets pass in 200 ms. */
  readonly burst?: number | undefined;
  readonly match?: LimitMatch | undefined;
  readonly priority: Priority;
}
export interface TunnelOptions {
  readonly total?: number | undefined;
  readonly client?: number | undefined;
  readonly user?: number | undefined;
  /** Milliseconds. */
  readonly wait: number;
  readonly queue: number;
}
export interface RequestOptions {
  readonly name?: string | undefined;
  readonly per: Exclude<Per, 'tunnel'>;
  /** Requests a second. */
  readonly rate: number;
  /** Absent: what the rate lets pass in a second, at least one. */
  readonly burst?: number | undefined;
}
export interface QuotaOptions {
  readonly name?: string | undefined;
  readonly per: Exclude<Per, 'tunnel'>;
  readonly bytes: number;
  /** Milliseconds. */
  readonly every: number;
}
export interface LimitsOptions {
  readonly bandwidth: readonly BandwidthOptions[];
  readonly tunnels: TunnelOptions;
  readonly requests: readonly RequestOptions[];
  readonly quota: readonly QuotaOptions[];
  /** Path of the file that keeps quotas across restarts. */
  readonly state?: string | undefined;
  /** Where the limits are counted that several instances share. */
  readonly store?: StoreAddress | undefined;
  readonly storePassword?: SecretOrigin | undefined;
  readonly storeSecret?: SecretOrigin | undefined;
  /** Path of a PEM file. */
  readonly storeCa?: string | undefined;
  readonly storePrefix: string;
  readonly onStoreDown: 'local' | 'deny';
}

type UnitValue = string | number;
interface NamedEntry {
  readonly name?: string | undefined;
}
/** `LimitMatch` as written in a configuration: one value may stand for a list of one. */
export interface LimitMatchInput {
  readonly hosts?: OneOrList<string> | undefined;
  readonly users?: OneOrList<string> | undefined;
  readonly clients?: OneOrList<string> | undefined;
  readonly ports?: OneOrList<number> | undefined;
}
/** Limits as written in a configuration or by a program. */
export interface LimitsInput {
  readonly bandwidth?:
    | OneOrList<
        NamedEntry & {
          readonly per?: Per | undefined;
          readonly rate?: UnitValue | undefined;
          readonly direction?: LimitDirection | undefined;
          readonly burst?: UnitValue | undefined;
          readonly match?: LimitMatchInput | undefined;
          readonly priority?: Priority | undefined;
        }
      >
    | undefined;
  readonly tunnels?:
    | {
        readonly total?: number | undefined;
        readonly client?: number | undefined;
        readonly user?: number | undefined;
        readonly wait?: UnitValue | undefined;
        readonly queue?: number | undefined;
      }
    | undefined;
  readonly requests?:
    | OneOrList<
        NamedEntry & {
          readonly per: Exclude<Per, 'tunnel'>;
          readonly rate: number;
          readonly burst?: number | undefined;
        }
      >
    | undefined;
  readonly quota?:
    | OneOrList<
        NamedEntry & { readonly per: Exclude<Per, 'tunnel'>; readonly bytes: UnitValue; readonly every: UnitValue }
      >
    | undefined;
  readonly state?: string | undefined;
  readonly store?: string | undefined;
  readonly storePassword?: string | undefined;
  readonly storeSecret?: string | undefined;
  readonly storeCa?: string | undefined;
  readonly storePrefix?: string | undefined;
  readonly onStoreDown?: 'local' | 'deny' | undefined;
}

/** A field with a unit; the message of the parser becomes that of the schema. */
const unitValue = (parse: (value: string | number) => number) =>
  z.union([z.number(), z.string()]).transform((value, context) => {
    try {
      return parse(value);
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
      return z.NEVER;
    }
  });

const atLeastOneByte = (value: string | number): number => {
  const bytes = parseBytes(value);
  if (bytes < 1) throw new Error('must be at least one byte; leave the limit out for no limit');
  return bytes;
};
const period = (value: string | number): number => {
  const ms = parseDuration(value);
  if (ms < 1000) throw new Error('must be at least one second');
  return ms;
};

/** One or a list: most configurations have one. */
const listOf = <T extends z.ZodType>(item: T) =>
  z.union([z.array(item).readonly(), item.transform((one) => [one])]).default([]);

// A name is printed in structured fields (RFC 9651 §3.3.3: printable ASCII) and in paths of the admin API.
const name = z
  .string()
  .regex(/^[ !#-.0-[\]-~]{1,64}$/, 'must be 1 to 64 printable ASCII characters without quotes, slashes or backslashes')
  .optional()
  .describe(
    'Name that appears in logs, metrics, refusals and the admin API. Default: its kind and its place in the list, `bandwidth-1`.',
  );

const perKey = z.enum(['proxy', 'client', 'user', 'host']);
const everyKey = z.enum(['proxy', 'client', 'user', 'host', 'tunnel']);

const NO_MATCH = 'is empty: the limit would apply to no request; leave it out';

const match = z
  .strictObject({
    hosts: listOrOne(hostPattern, NO_MATCH)
      .optional()
      .describe(
        'Target hosts: `www.example.com`, `.example.com` (the domain and everything below), names with `*`, addresses and blocks. Or `file:PATH`, a watched file with one on each line.',
      ),
    users: listOrOne(z.string().min(1), NO_MATCH).optional().describe('Names of users.'),
    clients: listOrOne(addressBlock, NO_MATCH).optional().describe('Client addresses or blocks.'),
    ports: listOrOne(z.int().min(1).max(65_535), NO_MATCH).optional().describe('Target ports.'),
  })
  .describe('Requests that the limit applies to: those that meet all of these conditions. Default: all.');

const bandwidth = z
  .strictObject({
    name,
    per: everyKey
      .default('proxy')
      .describe(
        'What has a budget of its own. An entry with `match` and no `per` is one budget for all requests that match.',
      ),
    rate: unitValue(parseRate).optional().describe('Bytes per second, e.g. `512KiB` or `4Mbit`.'),
    direction: z
      .enum(['up', 'down', 'both'])
      .default('both')
      .describe('`up` is from the client, `down` to it; `both` share one budget.'),
    burst: unitValue(atLeastOneByte)
      .optional()
      .describe('Bytes that may pass at once after a pause. Default: 200 ms of the rate.'),
    match: match.optional(),
    priority: z
      .enum(['normal', 'background'])
      .default('normal')
      .describe('`background` takes only what other traffic leaves, in every budget that it shares.'),
  })
  .refine((entry) => entry.rate !== undefined || entry.priority === 'background', {
    message: 'needs a rate',
    path: ['rate'],
  });

const count = z.int().min(1).optional();
const tunnels = z.strictObject({
  total: count.describe('Open tunnels of the whole proxy. Default: no limit.'),
  client: count.describe('Open tunnels of one client address (of one /64 for IPv6). Default: no limit.'),
  user: count.describe('Open tunnels of one user. Default: no limit.'),
  wait: duration('may-be-0')
    .prefault('2s')
    .describe('How long a request waits until a tunnel closes before it is refused. Default 2s; 0 refuses at once.'),
  queue: z
    .int()
    .min(0)
    .default(1024)
    .describe('How many requests may wait; at most a quarter of them from one client. Default 1024.'),
});

const requests = z.strictObject({
  name,
  per: perKey.describe('What has a budget of its own.'),
  // Less than one in 12 days is a mistake; for a rate near 0 the wait would not fit into Retry-After.
  rate: z.number().min(1e-6).max(1e9).describe('Requests a second; `0.5` is one every two seconds.'),
  burst: z
    .int()
    .min(1)
    .max(1e9)
    .optional()
    .describe('Requests that may come at once. Default: one second of the rate.'),
});

const quota = z.strictObject({
  name,
  per: perKey.describe('What has a quota of its own.'),
  bytes: unitValue(atLeastOneByte).describe('Bytes per period, both directions together.'),
  every: unitValue(period).describe('The period, e.g. `30d`; it begins with the first byte.'),
});

const store = z.string().transform((value, context): StoreAddress => {
  try {
    return parseStoreAddress(value);
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
    return z.NEVER;
  }
});

/** `limits` of the configuration file. */
export const limitsSchema: z.ZodType<LimitsOptions, LimitsInput> = z
  .strictObject({
    bandwidth: listOf(bandwidth).describe('Every limit that applies holds at once.'),
    tunnels: tunnels
      .prefault({})
      .describe('Open tunnels; above the limit a request waits until one closes, then it is refused.'),
    requests: listOf(requests).describe('Requests a second, as a token bucket; above the rate a client gets 429.'),
    quota: listOf(quota).describe('Bytes per period; after that a client gets 429, and open tunnels end.'),
    state: z
      .string()
      .min(1, 'write a path')
      .optional()
      .describe(
        'File that keeps quotas across restarts. Default: `quota.json` in the state directory, if there is one.',
      ),
    store: store
      .optional()
      .describe(
        'Redis or Valkey through which several instances share these limits: `redis://HOST:PORT`, `rediss://…` (TLS), `redis+sentinel://NAME@HOST:PORT,…`, `redis+cluster://HOST:PORT,…` or `redis+unix:///PATH`; `redis://USER@…` for a user of an ACL, `…/1` for another database. Default: each instance counts by itself.',
      ),
    storePassword: secretOrigin
      .optional()
      .describe('Where the password of the store comes from: `env:NAME` or `file:PATH` (mode 0600). Default: none.'),
    storeSecret: secretOrigin
      .optional()
      .describe(
        'Where the key comes from under which instances share rejected passwords of upstream proxies: `env:NAME` or `file:PATH` (mode 0600), the same for all. Default: each instance finds out by itself.',
      ),
    storeCa: z
      .string()
      .min(1, 'write the path of a PEM file')
      .optional()
      .describe('PEM file of the authority of a `rediss:` store. Default: the authorities that Node trusts.'),
    storePrefix: z
      .string()
      .regex(/^[\w.:-]{1,64}$/, 'must be 1 to 64 letters, digits, `_`, `.`, `:` or `-`')
      .prefault('viaduct')
      .describe(
        'What all keys in the store begin with: instances with the same one share their limits. Default `viaduct`.',
      ),
    onStoreDown: z
      .enum(['local', 'deny'])
      .prefault('local')
      .describe(
        'While the store cannot be reached: `local` keeps each instance to an equal part of every limit, `deny` gives new requests 503. Open tunnels go on. Default `local`.',
      ),
  })
  .superRefine((limits, context) => {
    const seen = new Set<string>();
    for (const kind of ['bandwidth', 'requests', 'quota'] as const) {
      for (const [at, entry] of limits[kind].entries()) {
        if (entry.name === undefined) continue;
        if (seen.has(entry.name)) {
          context.addIssue({ code: 'custom', message: 'another limit has this name', path: [kind, at, 'name'] });
        }
        seen.add(entry.name);
      }
    }
  });

/** No limit at all. */
export const NO_LIMITS: LimitsOptions = Object.freeze({
  bandwidth: [],
  tunnels: Object.freeze({ wait: 2000, queue: 1024 }),
  requests: [],
  quota: [],
  storePrefix: 'viaduct',
  onStoreDown: 'local',
});
