import type { Authority } from '../core/request.ts';
import type { Connection, Hop, Hops, Route } from '../core/stages.ts';
import { formatAuthority } from '../protocol/authority.ts';
import { formatHop } from '../protocol/proxy-url.ts';
import type { Introduction, Standing } from './auth/introduction.ts';
import type { Visit } from './auth/upstream-auth.ts';

/** A connection on which one request is about to be written. */
export interface Line extends Disposable {
  readonly route: Route;
  readonly connection: Connection;
  /** The proxy that reads the request, as whom we come to it, and what is said to it about that. */
  readonly parent: Parent | undefined;
  /** Of the pool, when it was begun to be opened. */
  readonly epoch: number;
}
export interface Parent {
  readonly hop: Hop;
  readonly visit: Visit;
  readonly introduction: Introduction;
}

/** Disposing it closes the connection, and ends what was begun to be said. */
export const lineOf = (route: Route, connection: Connection, parent: Parent | undefined, epoch: number): Line => ({
  route,
  connection,
  parent,
  epoch,
  [Symbol.dispose]() {
    parent?.introduction[Symbol.dispose]();
    connection[Symbol.dispose]();
  },
});

const lastOf = (hops: Hops): Hop => hops.at(-1) ?? hops[0];

/** The proxy that reads requests for this route: as Paths.approach has it, whoever comes last and speaks HTTP. */
export function readerOf(route: Route): Hop | undefined {
  if (route.via === 'direct') return undefined;
  const last = lastOf(route.hops);
  return last.scheme === 'http' || last.scheme === 'https' ? last : undefined;
}

/**
 * What makes two idle connections interchangeable. A proxy that reads requests takes those for any target, of the one
 * account that it knows us by: `bound` ones belong to it for as long as they are open.
 */
export function poolKey(route: Route, target: Authority, visit: Visit | undefined, standing: Standing): string {
  if (route.via === 'direct') return formatAuthority(target);
  const hops = route.hops.map((hop) => `${formatHop(hop)} ${hop.login?.user ?? ''}`).join(' > ');
  return visit === undefined ? `${hops} > ${formatAuthority(target)}` : `${hops} ${visit.id} ${standing}`;
}
