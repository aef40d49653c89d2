import { z } from 'zod';
import { hostPattern } from '../core/host-setting.ts';
import { portPattern } from '../core/port-setting.ts';
import type { Route } from '../core/stages.ts';

/** One way as it is written: `direct`, a URL, an answer of a PAC, or a chain of proxies, nearest first. */
export type RouteInput = string | readonly string[];
/** Ways in the order in which they are tried. */
export type RouteListInput = string | readonly RouteInput[];

export interface RouteRuleInput {
  readonly name?: string | undefined;
  readonly hosts?: readonly string[] | undefined;
  readonly ports?: readonly (number | string)[] | undefined;
  readonly via: RouteListInput;
}
export interface RoutesInput {
  readonly pac?: string | undefined;
  readonly pacUnreachable?: PacUnreachable | undefined;
  readonly rules?: readonly RouteRuleInput[] | undefined;
  readonly noProxy?: string | readonly string[] | undefined;
  readonly proxy?: RouteListInput | undefined;
}

/** What happens while a PAC should decide and there is none: not even an old copy, or not for this network. */
export type PacUnreachable = 'direct' | 'last-copy';

/** `routes` as it was written, before its texts are read. */
export interface WrittenRoutes {
  readonly pac?: string | undefined;
  readonly pacUnreachable?: PacUnreachable | undefined;
  readonly rules: readonly RouteRuleInput[];
  readonly noProxy: string | readonly string[];
  readonly proxy?: RouteListInput | undefined;
}

export interface RouteRule {
  readonly name: string;
  /** Patterns of core/host-setting.ts. Absent: every host. */
  readonly hosts?: readonly string[] | undefined;
  /** Absent: every port. */
  readonly ports?: readonly (number | string)[] | undefined;
  readonly via: readonly Route[];
}
export interface RoutesOptions {
  /** `none`, `system`, `auto`, a URL or a path. */
  readonly pac: string;
  readonly pacUnreachable: PacUnreachable;
  readonly rules: readonly RouteRule[];
  /** Entries in the grammar of `NO_PROXY`. */
  readonly noProxy: readonly string[];
  /** Empty: none is configured. */
  readonly proxy: readonly Route[];
}

/** Longer names make a log line hard to read. */
const RULE_NAME_CHARACTERS_MAX = 64;
const WAYS = '`direct`, a URL (`http://`, `https://`, `socks4://`, `socks4a://`, `socks5://`), an answer of a PAC';

const wayOrChain = z.union([z.string(), z.array(z.string())]);
const ways = (meaning: string): z.ZodType<RouteListInput, RouteListInput> =>
  z.union([z.string(), z.array(wayOrChain)]).describe(meaning);

const someOf = <T extends z.ZodType>(item: T, meaning: string) =>
  z.array(item).min(1, 'is empty: the rule would never match; leave the condition out').optional().describe(meaning);

const rule = z
  .strictObject({
    name: z
      .string()
      .regex(/^[^\p{Cc}]+$/u, 'has characters that no log can show')
      .max(RULE_NAME_CHARACTERS_MAX, `is longer than ${RULE_NAME_CHARACTERS_MAX} characters`)
      .optional()
      .describe('Name in logs and in `viaduct why`. Default: "rule N", counted from 1.'),
    hosts: someOf(
      hostPattern,
      'Target hosts: a name, `.suffix` (the domain and all below it), a name with `*`, an address or a block.',
    ),
    ports: someOf(portPattern, 'Target ports, and ranges of them such as "8000-8999".'),
    via: ways(
      `Ways for what meets all conditions: ${WAYS} (\`PROXY a:8080; DIRECT\`), or a list of those in the order of trying; a list inside it is a chain of proxies, nearest first.`,
    ),
  })
  .refine(({ hosts, ports }) => hosts !== undefined || ports !== undefined, 'has no condition; write hosts or ports');

/** `routes` of the configuration. The texts of ways and exceptions are read in config/routes.ts. */
export const routesSchema: z.ZodType<WrittenRoutes, RoutesInput> = z.strictObject({
  pac: z
    .string()
    .min(1, 'write a URL or a path, or system, auto or none')
    .optional()
    .describe(
      'The PAC that decides: `http(s):`, `file:`, `data:`, a path, `system` (the setting of the system), `auto` (that, then WPAD) or `none`. Default: `system`; `none` where `rules` or `proxy` are given, and in the library.',
    ),
  pacUnreachable: z
    .enum(['direct', 'last-copy'])
    .optional()
    .describe(
      'While the PAC cannot be fetched: `direct`, or `last-copy` (the last good one, and 502 while there is none). Default: `direct` for `system` and `auto`, else `last-copy`. Where `proxy` is given, that is used before either.',
    ),
  rules: z
    .array(rule)
    .readonly()
    .prefault([])
    .describe('Asked before the PAC, in order; the first that matches decides.'),
  noProxy: z
    .union([z.string(), z.array(z.string())])
    .prefault([])
    .describe(
      'Reached directly, before all else, as `NO_PROXY` has it: names (with all below them), addresses, blocks, `host:port`, `*`. What `NO_PROXY` names is added, unless a flag says it all.',
    ),
  proxy: ways(
    `Ways where no rule and no PAC decides: ${WAYS}, or a list of those in the order of trying; a list inside it is a chain of proxies, nearest first. Default: direct.`,
  ).optional(),
});
