import type * as z from 'zod';
import type { Route } from '../contracts/stages.ts';
import { isNoProxyEntry, splitNoProxy } from '../protocol/matching/no-proxy.ts';
import { parseRoutes, type RoutesText } from '../protocol/routes/route-text.ts';
import { type RoutesInput, type RoutesOptions, routesSchema, type UnparsedRoutes } from '../routing/options.ts';
import { quoted } from '../util/redact.ts';
import { suggestion } from './nearest.ts';
import type { Path } from './problems.ts';

/** What `routes.pac` may be instead of a URL or path. */
export const PAC_WORDS: readonly string[] = ['none', 'system', 'auto'];
const PAC_SCHEMES = ['http', 'https', 'file', 'data'] as const;
/** Two letters at least: one would be a drive of Windows. */
const SCHEME = /^([a-z][a-z0-9+.-]+):/i;

/** Whether `routes.pac` names a file by its path. */
export const isPacPath = (pac: string): boolean => !SCHEME.test(pac) && !PAC_WORDS.includes(pac);

const PAC_UNREACHABLE = { direct: 'direct', refuse: 'last-copy' } as const;

/** `routes` without the defaults that depend on the listeners. */
export type ParsedRoutes = Omit<RoutesOptions, 'pacUnreachable'> & Pick<UnparsedRoutes, 'pacUnreachable'>;

/**
 * The PAC server of a laptop cannot be reached from other networks, and does not matter there; but a PAC server that is
 * down must not let the clients of an exposed listener bypass the policy of the network.
 */
export const completeRoutes = (routes: ParsedRoutes, exposure: 'exposed' | 'local'): RoutesOptions => {
  const isFollowed = routes.pac === 'system' || routes.pac === 'auto';
  const usual = isFollowed && exposure === 'local' ? 'direct' : 'last-copy';
  return { ...routes, pacUnreachable: routes.pacUnreachable ?? usual };
};

/** `routes` with its texts read. No message here may hold a password: logins are left out. */
export const readRoutes: z.ZodType<ParsedRoutes, RoutesInput> = routesSchema.transform((written, context) => {
  const refuse = (path: Path, message: string) => context.addIssue({ code: 'custom', path: [...path], message });
  const routesIn = (text: RoutesText | undefined, path: Path): readonly Route[] => {
    const read = text === undefined ? [] : tried(text);
    if (!(read instanceof Error)) return read;
    // The problem of one of several has the path of that one.
    const at =
      typeof text === 'string' || text === undefined ? -1 : text.findIndex((one) => tried([one]) instanceof Error);
    refuse(at < 0 ? path : [...path, at], read.message);
    return [];
  };
  const pac = written.pac ?? defaultPac(written);
  const wrongPac = pacProblem(pac);
  if (wrongPac !== undefined) refuse(['pac'], wrongPac);
  return {
    pac,
    unreachable: written.unreachable ?? 'refuse',
    pacUnreachable: written.pacUnreachable ?? (written.unreachable && PAC_UNREACHABLE[written.unreachable]),
    rules: written.rules.map(({ name, hosts, ports, via, terms }, at) => ({
      name: name ?? `rule ${at + 1}`,
      hosts,
      ports,
      via: routesIn(via, ['rules', at, 'via']).map((route) => (terms === undefined ? route : { ...route, terms })),
    })),
    noProxy: exceptions(written.noProxy, refuse),
    proxy: routesIn(written.proxy, ['proxy']),
  };
});

function tried(text: RoutesText): readonly Route[] | Error {
  try {
    return parseRoutes(text, 'user');
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Configured routes take the place of those of the system. */
const defaultPac = ({ proxy, rules }: UnparsedRoutes): string =>
  proxy === undefined && rules.length === 0 ? 'system' : 'none';

function pacProblem(pac: string): string | undefined {
  const scheme = SCHEME.exec(pac)?.[1]?.toLowerCase();
  if (scheme === undefined) return undefined;
  if (!PAC_SCHEMES.some((known) => known === scheme)) {
    return `is not a PAC: ${scheme}: is not read${suggestion(scheme, PAC_SCHEMES)}; write http:, https:, file:, data:, a path, system, auto or none`;
  }
  return URL.canParse(pac)
    ? undefined
    : `is not a valid URL; write for example ${scheme === 'file' ? 'file:///etc' : `${scheme}://pac.example`}/proxy.pac`;
}

function exceptions(given: string | readonly string[], refuse: (path: Path, message: string) => void): string[] {
  const lists = typeof given === 'string' ? [given] : given;
  return lists.flatMap((list, at) => {
    const entries = splitNoProxy(list);
    for (const entry of entries.filter((one) => !isNoProxyEntry(one))) {
      const path = typeof given === 'string' ? ['noProxy'] : ['noProxy', at];
      refuse(
        path,
        `${quoted(entry)} is not a valid host; write a name, an address, a block, each with or without :PORT, or *`,
      );
    }
    return entries;
  });
}
