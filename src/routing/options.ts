import * as z from 'zod';
import type { OutboundTerms } from '../contracts/outbound.ts';
import type { Route } from '../contracts/stages.ts';
import { hostPattern } from '../settings/host-setting.ts';
import { listOrOne, type OneOrList } from '../settings/list-setting.ts';
import { type OutboundInput, outboundShape, outboundTerms } from '../settings/outbound-setting.ts';
import { portPattern } from '../settings/port-setting.ts';

/** One route as it is written: `direct`, a URL, an entry of a PAC result, or a chain of proxies, nearest first. */
export type RouteInput = string | readonly string[];
/** Routes in the order in which they are tried. */
export type RouteListInput = string | readonly RouteInput[];

export interface RouteRuleInput extends OutboundInput {
  readonly name?: string | undefined;
  readonly hosts?: OneOrList<string> | undefined;
  readonly ports?: OneOrList<number | string> | undefined;
  readonly via: RouteListInput;
}
/** A rule with lists in place of single values, and routes that are not parsed yet. */
export interface UnparsedRouteRule extends Omit<RouteRuleInput, 'hosts' | 'ports' | keyof OutboundInput> {
  readonly terms?: OutboundTerms | undefined;
  readonly hosts?: readonly string[] | undefined;
  readonly ports?: readonly (number | string)[] | undefined;
}
export interface RoutesInput {
  readonly pac?: string | undefined;
  readonly unreachable?: Unreachable | undefined;
  readonly pacUnreachable?: PacUnreachable | undefined;
  readonly rules?: readonly RouteRuleInput[] | undefined;
  readonly noProxy?: string | readonly string[] | undefined;
  readonly proxy?: RouteListInput | undefined;
}

/** What happens while no upstream proxy of a request can be reached. */
export type Unreachable = 'direct' | 'refuse';
/** What happens while a configured PAC cannot be read and there is no copy of it, or none for this network. */
export type PacUnreachable = 'direct' | 'last-copy';

/** `routes` as it was written, before its texts are parsed. */
export interface UnparsedRoutes {
  readonly pac?: string | undefined;
  readonly unreachable?: Unreachable | undefined;
  readonly pacUnreachable?: PacUnreachable | undefined;
  readonly rules: readonly UnparsedRouteRule[];
  readonly noProxy: string | readonly string[];
  readonly proxy?: RouteListInput | undefined;
}

export interface RouteRule {
  readonly name: string;
  /** Patterns of settings/host-setting.ts. Absent: every host. */
  readonly hosts?: readonly string[] | undefined;
  /** Absent: every port. */
  readonly ports?: readonly (number | string)[] | undefined;
  readonly via: readonly Route[];
}
export interface RoutesOptions {
  /** `none`, `system`, `auto`, a URL or a path. */
  readonly pac: string;
  readonly unreachable: Unreachable;
  readonly pacUnreachable: PacUnreachable;
  readonly rules: readonly RouteRule[];
  /** Entries in the grammar of `NO_PROXY`. */
  readonly noProxy: readonly string[];
  /** Empty: none is configured. */
  readonly proxy: readonly Route[];
}

/** Longer names make a log line hard to read. */
const RULE_NAME_CHARACTERS_MAX = 64;
const ROUTE_FORMS = '`direct`, a URL (`http://`, `https://`, `socks4://`, `socks4a://`, `socks5://`), a PAC result';

const hopOrChain = z.union([z.string(), z.array(z.string())]);
const routeList = (meaning: string): z.ZodType<RouteListInput, RouteListInput> =>
  z.union([z.string(), z.array(hopOrChain)]).describe(meaning);

const someOf = <T extends z.ZodType>(item: T, meaning: string) =>
  listOrOne(item, 'is empty: the rule would never match; leave the condition out').optional().describe(meaning);

const rule = z
  .strictObject({
    name: z
      .string()
      .regex(/^[^\p{Cc}]+$/u, 'has control characters, which a log cannot show')
      .max(RULE_NAME_CHARACTERS_MAX, `is longer than ${RULE_NAME_CHARACTERS_MAX} characters`)
      .optional()
      .describe('Name in logs and in `viaduct why`. Default: "rule N", counted from 1.'),
    hosts: someOf(
      hostPattern,
      'Target hosts: a name, `.suffix` (the domain and all below it), a name with `*`, an address or a block. Or `file:PATH`, a watched file with one on each line.',
    ),
    ports: someOf(portPattern, 'Target ports, and ranges of them such as "8000-8999".'),
    via: routeList(
      `Routes of requests that match all conditions: ${ROUTE_FORMS} (\`PROXY a:8080; DIRECT\`), or a list of those in the order in which they are tried; a list inside it is a chain of proxies, nearest first.`,
    ),
    ...outboundShape,
  })
  .refine(({ hosts, ports }) => hosts !== undefined || ports !== undefined, 'has no condition; write hosts or ports')
  .transform(({ from, family, timeouts, ...rest }) => ({ ...rest, terms: outboundTerms({ from, family, timeouts }) }));

/** `routes` of the configuration. The texts of routes and exceptions are parsed in config/routes.ts. */
export const routesSchema: z.ZodType<UnparsedRoutes, RoutesInput> = z.strictObject({
  pac: z
    .string()
    .min(1, 'write a URL or a path, or system, auto or none')
    .optional()
    .describe(
      'The PAC: `http(s):`, `file:`, `data:`, a path, `system` (the setting of the system, and without one `http_proxy`, `https_proxy` and `all_proxy` of the environment; a setting that names this proxy itself is ignored), `auto` (the same, then WPAD) or `none`. Default: `system`; `none` where `rules` or `proxy` are given, and in the library.',
    ),
  unreachable: z
    .enum(['direct', 'refuse'])
    .optional()
    .describe(
      'While the PAC, or every upstream proxy of a request, cannot be reached (refused, timed out, no route, no such name): `direct` (the log says `direct_fallback`), or `refuse` with 502. While there is a last good copy of the PAC and its proxies answer, it is used. Never direct after a 407, a refusal or failed TLS. Default: `refuse`; for the PAC of `system` and `auto` alone `direct`, unless a listener is exposed.',
    ),
  pacUnreachable: z
    .enum(['direct', 'last-copy'])
    .optional()
    .describe(
      'The same for the PAC alone, older than `unreachable`: `direct`, or `last-copy` (the last good copy, and 502 while there is none). Default: as `unreachable`. Where `proxy` is given, that is used before either.',
    ),
  rules: z
    .array(rule)
    .readonly()
    .prefault([])
    .describe('Evaluated before the PAC, in order; the first rule that matches decides.'),
  noProxy: z
    .union([z.string(), z.array(z.string())])
    .prefault([])
    .describe(
      'Hosts that are reached directly, before all else, in the notation of `NO_PROXY`: names (with all below them), addresses, blocks, `host:port`, `*`. The entries of `NO_PROXY` are added, unless a flag gives the whole list.',
    ),
  proxy: routeList(
    `Routes where no rule and no PAC decides: ${ROUTE_FORMS}, or a list of those in the order in which they are tried; a list inside it is a chain of proxies, nearest first. Default: direct.`,
  ).optional(),
});
