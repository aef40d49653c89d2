import type { z } from 'zod';
import type { Route } from '../core/stages.ts';
import { isNoProxyEntry, splitNoProxy } from '../protocol/no-proxy.ts';
import { withoutLogin } from '../protocol/proxy-url.ts';
import { parseRoutes, type RoutesText } from '../protocol/route-text.ts';
import { type RoutesInput, type RoutesOptions, routesSchema, type WrittenRoutes } from '../routing/options.ts';
import { suggestion } from './nearest.ts';
import type { Path } from './problems.ts';

/** What `routes.pac` may say instead of a place. */
export const PAC_WORDS: readonly string[] = ['none', 'system', 'auto'];
const PAC_SCHEMES = ['http', 'https', 'file', 'data'] as const;
/** Two letters at least: one would be a drive of Windows. */
const SCHEME = /^([a-z][a-z0-9+.-]+):/i;

/** Whether `routes.pac` names a file by its path. */
export const isPacPath = (pac: string): boolean => !SCHEME.test(pac) && !PAC_WORDS.includes(pac);

/** `routes` with its texts read. Nothing here may say a password: what is wrong is told without logins. */
export const readRoutes: z.ZodType<RoutesOptions, RoutesInput> = routesSchema.transform((written, context) => {
  const refuse = (path: Path, message: string) => context.addIssue({ code: 'custom', path: [...path], message });
  const ways = (text: RoutesText | undefined, path: Path): readonly Route[] => {
    const read = text === undefined ? [] : tried(text);
    if (!(read instanceof Error)) return read;
    // One of several is told with its own line.
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
    pacUnreachable: written.pacUnreachable ?? (pac === 'system' || pac === 'auto' ? 'direct' : 'last-copy'),
    rules: written.rules.map(({ name, hosts, ports, via }, at) => ({
      name: name ?? `rule ${at + 1}`,
      hosts,
      ports,
      via: ways(via, ['rules', at, 'via']),
    })),
    noProxy: exceptions(written.noProxy, refuse),
    proxy: ways(written.proxy, ['proxy']),
  };
});

function tried(text: RoutesText): readonly Route[] | Error {
  try {
    return parseRoutes(text, 'user');
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Whoever says which way to go does not mean that of the system. */
const defaultPac = ({ proxy, rules }: WrittenRoutes): string =>
  proxy === undefined && rules.length === 0 ? 'system' : 'none';

function pacProblem(pac: string): string | undefined {
  const scheme = SCHEME.exec(pac)?.[1]?.toLowerCase();
  if (scheme === undefined) return undefined;
  if (!PAC_SCHEMES.some((known) => known === scheme)) {
    return `is no PAC: ${scheme}: is not read${suggestion(scheme, PAC_SCHEMES)}; write http:, https:, file:, data:, a path, system, auto or none`;
  }
  return URL.canParse(pac)
    ? undefined
    : `is no URL; write for example ${scheme === 'file' ? 'file:///etc' : `${scheme}://pac.example`}/proxy.pac`;
}

function exceptions(given: string | readonly string[], refuse: (path: Path, message: string) => void): string[] {
  const lists = typeof given === 'string' ? [given] : given;
  return lists.flatMap((list, at) => {
    const entries = splitNoProxy(list);
    for (const entry of entries.filter((one) => !isNoProxyEntry(one))) {
      const path = typeof given === 'string' ? ['noProxy'] : ['noProxy', at];
      refuse(
        path,
        `${JSON.stringify(withoutLogin(entry))} is no host; write a name, an address, a block, each with or without :PORT, or *`,
      );
    }
    return entries;
  });
}
