import { z } from 'zod';
import { addressBlock, isAddressBlock } from '../core/address-setting.ts';
import { hostPattern } from '../core/host-setting.ts';
import { isPortRange, portPattern } from '../core/port-setting.ts';

/** Whether others than this machine's own users can reach any listener: then the defaults are strict. */
export type Exposure = 'local' | 'exposed';

/** Conditions of a rule: each that is listed must hold, and of each list any one member will do. */
export interface AccessConditions {
  readonly hosts?: readonly string[] | undefined;
  readonly ports?: readonly (number | string)[] | undefined;
  readonly methods?: readonly string[] | undefined;
  readonly users?: readonly string[] | undefined;
  readonly clients?: readonly string[] | undefined;
  readonly times?: readonly TimeWindowOptions[] | undefined;
}
export interface TimeWindowOptions {
  readonly days?: readonly string[] | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly zone?: string | undefined;
}
/** Exactly one of `allow`, `deny` and `default` is there; `default` only in the last entry. */
export interface AccessEntry {
  readonly name?: string | undefined;
  readonly allow?: AccessConditions | undefined;
  readonly deny?: AccessConditions | undefined;
  readonly default?: 'allow' | 'deny' | undefined;
  readonly report?: boolean | undefined;
}
export type AccessOptions = readonly AccessEntry[];
export type AccessInput = AccessOptions;

/** Words for kinds of addresses; `special` is every special-purpose block that has no word of its own. */
export const GUARD_WORDS: readonly ['private', 'loopback', 'link-local', 'metadata', 'special'] = [
  'private',
  'loopback',
  'link-local',
  'metadata',
  'special',
];

export interface GuardOptions {
  /** Words and blocks. Absent: as `guardDefaults` in address-guard.ts says for the listeners at hand. */
  readonly deny?: readonly string[] | undefined;
  /** Blocks, with or without a port, that are excepted from `deny`. Absent: none. */
  readonly allow?: readonly string[] | undefined;
}
export type GuardInput = GuardOptions;

/** Longer names make a log line hard to read. */
const RULE_NAME_CHARACTERS_MAX = 64;

/** `10.0.0.0/8`, `127.0.0.1:8080`, `[::1]:80`. */
function isExemption(text: string): boolean {
  const [, six, four = '', port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d+)$/.exec(text) ?? [];
  if (port === undefined) return isAddressBlock(text);
  return /^\d+$/.test(port) && isPortRange(port) && isAddressBlock(six ?? four) && (six ?? ':').includes(':');
}

const DAYS = 'mon|tue|wed|thu|fri|sat|sun';
const timeOfDay = (meaning: string) =>
  z
    .string({ error: 'is no time of day; write for example "08:00", in quotes' })
    .regex(/^(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$/, 'is no time of day; write for example "08:00"')
    .optional()
    .describe(meaning);

function isTimeZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

const someOf = <T extends z.ZodType>(item: T, meaning: string) =>
  z.array(item).min(1, 'is empty: the rule would never match; leave the condition out').optional().describe(meaning);

const timeWindow = z
  .strictObject({
    days: someOf(
      z
        .string()
        .regex(new RegExp(`^(?:${DAYS})(?:-(?:${DAYS}))?$`, 'i'), 'is no day; write for example mon or mon-fri'),
      'Days on which the window begins. Default: every day.',
    ),
    from: timeOfDay('First minute. Default "00:00".'),
    to: timeOfDay('The minute after the last. Default "24:00"; before `from`, it is one of the next day.'),
    zone: z
      .string()
      .refine(isTimeZone, 'is no time zone; write for example Europe/Berlin')
      .optional()
      .describe('Time zone. Default: that of this machine.'),
  })
  .refine(
    ({ from = '00:00', to = '24:00' }) => from !== to && from !== '24:00',
    'begins when it ends: it is never open',
  );

const conditions = z.strictObject({
  hosts: someOf(
    hostPattern,
    'Target hosts: a name, `.suffix` (the domain and all below it), a name with `*`, an address or a block.',
  ),
  ports: someOf(portPattern, 'Target ports, and ranges of them such as "8000-8999".'),
  methods: someOf(
    z.string().regex(/^[!#$%&'*+.^_`|~0-9a-z-]+$/i, 'is no method; write for example GET'),
    'Request methods.',
  ),
  users: someOf(z.string().min(1), 'Users, by the name with which they authenticate.'),
  clients: someOf(addressBlock, 'Addresses that clients come from.'),
  times: someOf(timeWindow, 'When the rule holds.'),
});

const entry = z
  .strictObject({
    name: z
      .string()
      .regex(/^[^\p{Cc}]+$/u, 'has characters that no log can show')
      .max(RULE_NAME_CHARACTERS_MAX, `is longer than ${RULE_NAME_CHARACTERS_MAX} characters`)
      .optional()
      .describe('Name in logs and refusals. Default: "rule N", counted from 1.'),
    allow: conditions.optional().describe('Requests that meet all of these conditions are allowed.'),
    deny: conditions.optional().describe('Requests that meet all of these conditions are denied.'),
    default: z
      .enum(['allow', 'deny'])
      .optional()
      .describe('What happens to requests that no rule matches: last entry.'),
    report: z.boolean().optional().describe('Only log what the rule would have done. Default false.'),
  })
  .refine(
    ({ allow, deny, default: otherwise }) =>
      [allow, deny, otherwise].filter((verdict) => verdict !== undefined).length === 1,
    'needs exactly one verdict; write allow, deny or default',
  );

/** `access` of the configuration. Default: no rule, which allows everything (ports of CONNECT apart). */
export const accessSchema: z.ZodType<AccessOptions, AccessInput> = z.array(entry).superRefine((entries, context) => {
  for (const [at, { default: otherwise }] of entries.slice(0, -1).entries()) {
    if (otherwise === undefined) continue;
    context.addIssue({
      code: 'custom',
      path: [at, 'default'],
      message: 'comes last: no rule behind it would be reached',
    });
  }
});

/** `guard` of the configuration. */
export const guardSchema: z.ZodType<GuardOptions, GuardInput> = z.strictObject({
  deny: z
    .array(
      z
        .string()
        .refine(
          (text) => GUARD_WORDS.some((word) => word === text) || isAddressBlock(text),
          `is no kind of address; write ${GUARD_WORDS.join(', ')}, an address or a block`,
        ),
    )
    .optional()
    .describe(
      'Addresses that are never dialled: `private`, `loopback`, `link-local`, `metadata`, `special` (every other special-purpose block), and blocks. Default: nothing while every listener is local, else all five.',
    ),
  allow: z
    .array(z.string().refine(isExemption, 'is no address or block; write 10.20.0.0/16, 127.0.0.1:8080 or "[::1]:80"'))
    .optional()
    .describe('Excepted from `deny`, with or without a port: `10.20.0.0/16`, `127.0.0.1:8080`, `[::1]:80`.'),
});
