import * as z from 'zod';
import { addressBlock, isAddressBlock } from '../settings/address-setting.ts';
import { hostPattern } from '../settings/host-setting.ts';
import { listOrOne, type OneOrList } from '../settings/list-setting.ts';
import { isPortRange, portPattern } from '../settings/port-setting.ts';

/** `exposed`: other machines can reach a listener; then the defaults are strict. `bridge`: containers of this machine can. */
export type Exposure = 'local' | 'bridge' | 'exposed';

/** Conditions of a rule: all that are set must be met, each by any member of its list. */
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
/** Exactly one of `allow`, `deny` and `default` is set; `default` only in the last entry. */
export interface AccessEntry {
  readonly name?: string | undefined;
  readonly allow?: AccessConditions | undefined;
  readonly deny?: AccessConditions | undefined;
  readonly default?: 'allow' | 'deny' | undefined;
  readonly report?: boolean | undefined;
}
export type AccessOptions = readonly AccessEntry[];

/** The same as written in a configuration: one value may stand for a list of one. */
export interface AccessConditionsInput {
  readonly hosts?: OneOrList<string> | undefined;
  readonly ports?: OneOrList<number | string> | undefined;
  readonly methods?: OneOrList<string> | undefined;
  readonly users?: OneOrList<string> | undefined;
  readonly clients?: OneOrList<string> | undefined;
  readonly times?: OneOrList<TimeWindowInput> | undefined;
}
export interface TimeWindowInput extends Omit<TimeWindowOptions, 'days'> {
  readonly days?: OneOrList<string> | undefined;
}
export interface AccessEntryInput extends Omit<AccessEntry, 'allow' | 'deny'> {
  readonly allow?: AccessConditionsInput | undefined;
  readonly deny?: AccessConditionsInput | undefined;
}
/** `all`: everywhere and to every port, as a rule `{ name: all, allow: {} }`; the guard and limits still hold. */
export type AccessInput = 'all' | readonly AccessEntryInput[];

/** Names of kinds of addresses; `special` is every special-purpose block without a name of its own. */
export const GUARD_WORDS: readonly ['private', 'loopback', 'link-local', 'metadata', 'special'] = [
  'private',
  'loopback',
  'link-local',
  'metadata',
  'special',
];

export interface GuardOptions {
  /** Names of kinds, and blocks. Absent: `guardDefaults` of address-guard.ts. */
  readonly deny?: readonly string[] | undefined;
  /** Blocks, with or without a port, that are excepted from `deny`. Absent: none. */
  readonly allow?: readonly string[] | undefined;
}
export interface GuardInput {
  readonly deny?: OneOrList<string> | undefined;
  readonly allow?: OneOrList<string> | undefined;
}

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
    .string({ error: 'is not a valid time of day; write for example "08:00", in quotes' })
    .regex(/^(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$/, 'is not a valid time of day; write for example "08:00"')
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
  listOrOne(item, 'is empty: the rule would never match; leave the condition out').optional().describe(meaning);

const timeWindow = z
  .strictObject({
    days: someOf(
      z
        .string()
        .regex(
          new RegExp(`^(?:${DAYS})(?:-(?:${DAYS}))?$`, 'i'),
          'is not a valid day; write for example mon or mon-fri',
        ),
      'Days on which the window begins. Default: every day.',
    ),
    from: timeOfDay('First minute. Default "00:00".'),
    to: timeOfDay('The minute after the last. Default "24:00"; one before `from` is of the next day.'),
    zone: z
      .string()
      .refine(isTimeZone, 'is not a valid time zone; write for example Europe/Berlin')
      .optional()
      .describe('Time zone. Default: that of this machine.'),
  })
  .refine(
    ({ from = '00:00', to = '24:00' }) => from !== to && from !== '24:00',
    'begins when it ends, so it is never open; change from or to',
  );

const conditions = z.strictObject({
  hosts: someOf(
    hostPattern,
    'Target hosts: a name, `.suffix` (the domain and all below it), a name with `*`, an address or a block. Or `file:PATH`, a watched file with one on each line.',
  ),
  ports: someOf(portPattern, 'Target ports, and ranges of them such as "8000-8999".'),
  methods: someOf(
    z.string().regex(/^[!#$%&'*+.^_`|~0-9a-z-]+$/i, 'is not a valid method; write for example GET'),
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
      .regex(/^[^\p{Cc}]+$/u, 'has control characters; write printable ones')
      .max(RULE_NAME_CHARACTERS_MAX, `is longer than ${RULE_NAME_CHARACTERS_MAX} characters; shorten it`)
      .optional()
      .describe('Name in logs and refusals. Default: "rule N", counted from 1.'),
    allow: conditions.optional().describe('Requests that meet all of these conditions are allowed.'),
    deny: conditions.optional().describe('Requests that meet all of these conditions are denied.'),
    default: z
      .enum(['allow', 'deny'])
      .optional()
      .describe('What happens to requests that no rule matches. Only in the last entry.'),
    report: z.boolean().optional().describe('Only log what the rule would decide. Default false.'),
  })
  .refine(
    ({ allow, deny, default: otherwise }) =>
      [allow, deny, otherwise].filter((verdict) => verdict !== undefined).length === 1,
    'needs exactly one verdict; write allow, deny or default',
  );

/** `access` of the configuration. Default: no rule, which allows everything (ports of CONNECT apart). */
const accessList = z.array(entry).superRefine((entries, context) => {
  for (const [at, { default: otherwise }] of entries.slice(0, -1).entries()) {
    if (otherwise === undefined) continue;
    context.addIssue({
      code: 'custom',
      path: [at, 'default'],
      message: 'must be the last entry: rules after it would never be reached; move it',
    });
  }
});

/** No union, so that what is wrong with a rule is reported where it stands. */
export const accessSchema: z.ZodType<AccessOptions, AccessInput> = z.preprocess<
  unknown,
  typeof accessList,
  AccessInput
>((written) => (written === 'all' ? [{ name: 'all', allow: {} }] : written), accessList);

const deniedKind = z
  .string()
  .refine(
    (text) => GUARD_WORDS.some((word) => word === text) || isAddressBlock(text),
    `is not a valid kind of address; write ${GUARD_WORDS.join(', ')}, an address or a block`,
  );
const exemption = z
  .string()
  .refine(isExemption, 'is not a valid address or block; write 10.20.0.0/16, 127.0.0.1:8080 or "[::1]:80"');

/** `guard` of the configuration. Its lists may be empty: then nothing is denied, or excepted. */
export const guardSchema: z.ZodType<GuardOptions, GuardInput> = z.strictObject({
  deny: z
    .union([z.array(deniedKind), deniedKind.transform((one) => [one])])
    .optional()
    .describe(
      'Addresses that are never dialled: `private`, `loopback`, `link-local`, `metadata`, `special` (every other special-purpose block), and blocks. Default: nothing while every listener is local, else all five.',
    ),
  allow: z
    .union([z.array(exemption), exemption.transform((one) => [one])])
    .optional()
    .describe('Excepted from `deny`, with or without a port: `10.20.0.0/16`, `127.0.0.1:8080`, `[::1]:80`.'),
});
