import { z } from 'zod';
import { addressBlock } from '../core/address-setting.ts';
import { hostPattern } from '../core/host-setting.ts';
import { duration } from '../core/setting.ts';
import { parseBytes, parseDuration, parseRate } from '../core/units.ts';

/** What a limit counts by: everything together, or each client address, user, target host or tunnel by itself. */
export type Per = 'proxy' | 'client' | 'user' | 'host' | 'tunnel';
export type LimitDirection = 'up' | 'down' | 'both';
export type Priority = 'normal' | 'background';

/** Whom a bandwidth limit concerns; what is not named does not matter, and everything named must fit. */
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
}

type Written = string | number;
type OneOrList<T> = T | readonly T[];
interface Named {
  readonly name?: string | undefined;
}
/** Limits as a person or a program writes them. */
export interface LimitsInput {
  readonly bandwidth?:
    | OneOrList<
        Named & {
          readonly per?: Per | undefined;
          readonly rate?: Written | undefined;
          readonly direction?: LimitDirection | undefined;
          readonly burst?: Written | undefined;
          readonly match?: LimitMatch | undefined;
          readonly priority?: Priority | undefined;
        }
      >
    | undefined;
  readonly tunnels?:
    | {
        readonly total?: number | undefined;
        readonly client?: number | undefined;
        readonly user?: number | undefined;
        readonly wait?: Written | undefined;
        readonly queue?: number | undefined;
      }
    | undefined;
  readonly requests?:
    | OneOrList<
        Named & { readonly per: Exclude<Per, 'tunnel'>; readonly rate: number; readonly burst?: number | undefined }
      >
    | undefined;
  readonly quota?:
    | OneOrList<Named & { readonly per: Exclude<Per, 'tunnel'>; readonly bytes: Written; readonly every: Written }>
    | undefined;
  readonly state?: string | undefined;
}

/** A field that people write with a unit; what the parser says about it becomes the message. */
const written = (parse: (given: string | number) => number) =>
  z.union([z.number(), z.string()]).transform((given, context) => {
    try {
      return parse(given);
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
      return z.NEVER;
    }
  });

const atLeastOneByte = (given: string | number): number => {
  const bytes = parseBytes(given);
  if (bytes < 1) throw new Error('must be at least one byte; leave the limit out for no limit');
  return bytes;
};
const period = (given: string | number): number => {
  const ms = parseDuration(given);
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
  .describe('Name that appears in logs, metrics, refusals and the admin API; generated when absent.');

const perKey = z.enum(['proxy', 'client', 'user', 'host']);
const everyKey = z.enum(['proxy', 'client', 'user', 'host', 'tunnel']);

const match = z
  .strictObject({
    hosts: z
      .array(hostPattern)
      .min(1)
      .optional()
      .describe(
        'Target hosts: `www.example.com`, `.example.com` (the domain and everything below), names with `*`, addresses and blocks.',
      ),
    users: z.array(z.string().min(1)).min(1).optional().describe('Names of users.'),
    clients: z.array(addressBlock).min(1).optional().describe('Client addresses or blocks.'),
    ports: z.array(z.int().min(1).max(65_535)).min(1).optional().describe('Target ports.'),
  })
  .describe('Whom the limit concerns; everything named must fit. Without it: everyone.');

const bandwidth = z
  .strictObject({
    name,
    per: everyKey
      .default('proxy')
      .describe('Who shares one budget. An entry with `match` and no `per` is one budget for all that match.'),
    rate: written(parseRate).optional().describe('Bytes per second, e.g. `512KiB` or `4Mbit`.'),
    direction: z
      .enum(['up', 'down', 'both'])
      .default('both')
      .describe('`up` is from the client, `down` to it; `both` share one budget.'),
    burst: written(atLeastOneByte)
      .optional()
      .describe('Bytes that may pass at once after a pause. Default: 200 ms of the rate.'),
    match: match.optional(),
    priority: z
      .enum(['normal', 'background'])
      .default('normal')
      .describe('`background` takes only what the rest leaves, in every budget that it shares.'),
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
    .describe('How long a request waits for a place before it is refused. Default 2s; 0 refuses at once.'),
  queue: z
    .int()
    .min(0)
    .default(1024)
    .describe('How many requests may wait; one client holds at most a quarter of these places. Default 1024.'),
});

const requests = z.strictObject({
  name,
  per: perKey.describe('Who shares one budget.'),
  // Less than one in 12 days would never come again; nearly 0, the wait is no number that a header can hold.
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
  per: perKey.describe('Who shares one quota.'),
  bytes: written(atLeastOneByte).describe('Bytes per period, both directions together.'),
  every: written(period).describe('The period, e.g. `30d`; it begins with the first byte.'),
});

/** `limits` of the configuration file. */
export const limitsSchema: z.ZodType<LimitsOptions, LimitsInput> = z
  .strictObject({
    bandwidth: listOf(bandwidth).describe('Every limit that applies holds at once.'),
    tunnels: tunnels.prefault({}).describe('Open tunnels; a request waits for a place, then it is refused.'),
    requests: listOf(requests).describe('Requests a second, as a token bucket; what comes faster is answered 429.'),
    quota: listOf(quota).describe('Bytes per period; what comes after that is answered 429, and open tunnels end.'),
    state: z
      .string()
      .min(1, 'write a path')
      .optional()
      .describe(
        'File that keeps quotas across restarts. Default: `quota.json` in the state directory, if there is one.',
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

/** Limits that limit nothing. */
export const NO_LIMITS: LimitsOptions = Object.freeze({
  bandwidth: [],
  tunnels: Object.freeze({ wait: 2000, queue: 1024 }),
  requests: [],
  quota: [],
});
