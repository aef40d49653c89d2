import * as z from 'zod';
import { ProxyError } from '../contracts/failure.ts';
import type { Hop, Hops, Route } from '../contracts/stages.ts';
import { parseRoutes } from '../protocol/routes/route-text.ts';
import type { RouteChoice } from '../routing/hook.ts';
import { hopTls } from '../routing/hop-tls.ts';
import { loginTerms } from '../settings/login-setting.ts';

const hopTerms = z.object({ auth: loginTerms.optional(), tls: hopTls.optional() });

/** A proxy as text, and what goes with it. */
type Link = Pick<Hop, 'auth' | 'tls'> & { readonly text: string };

/** The one route that a program names: a list is a chain. Throws ProxyError `no_route`. */
export function routeOf(choice: RouteChoice): Route {
  try {
    const links = Array.isArray(choice) ? choice.map(linkOf) : [linkOf(choice)];
    const texts = links.map(({ text }) => text);
    const [route, ...more] = parseRoutes([Array.isArray(choice) ? texts : (texts[0] ?? '')], 'user');
    if (more.length > 0) throw new Error('names several routes; write one');
    if (route.via === 'direct') return route;
    const [first, ...behind] = route.hops.map((hop, at) => withTerms(hop, links[at]));
    const hops: Hops = first === undefined ? route.hops : [first, ...behind];
    return { ...route, hops };
  } catch (cause) {
    throw new ProxyError('no_route', cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function withTerms(hop: Hop, { auth, tls }: Partial<Link> = {}): Hop {
  return { ...hop, ...(auth !== undefined && { auth }), ...(tls !== undefined && { tls }) };
}

/** A program may be written in JavaScript. In the route hook a list in a list is a chain; here the list itself is one. */
function linkOf(link: unknown): Link {
  if (Array.isArray(link))
    throw new Error('has a list in a list: here a list is one chain of proxies, and there are no alternatives');
  if (typeof link !== 'object' || link === null || !('url' in link)) return { text: String(link) };
  const terms = hopTerms.safeParse(link);
  if (terms.success) return { text: String(link.url), ...terms.data };
  const [issue] = terms.error.issues;
  throw new Error(`${issue?.path.join('.')}: ${issue?.message}`);
}
