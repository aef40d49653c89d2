import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Entrance, Purpose } from './access.ts';

/** A request that may be answered: who sends it was checked. */
export interface AdminRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly entrance: Entrance;
  readonly query: URLSearchParams;
  /** The value of a `{name}` in the path. */
  param(name: string): string;
  /** The JSON body; `undefined`: there is none. */
  readonly body: unknown;
  /** For the audit log: `through the control socket`, or the address. */
  readonly from: string;
}

/** A response in JSON, or one that the route has written itself. */
export type Answer =
  | { readonly status: number; readonly json?: unknown; readonly fields?: Readonly<Record<string, string>> }
  | 'written';

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** `/api/tunnels/{id}`: as in the description of the API. */
  readonly path: string;
  readonly purpose: Purpose;
  run(request: AdminRequest): Answer | Promise<Answer>;
}

/** The route of a request, and the values in its path; or the methods that its path has; or that there is no such path. */
export type Found =
  | { readonly is: 'route'; readonly route: Route; readonly params: ReadonlyMap<string, string> }
  | { readonly is: 'other-method'; readonly allow: string }
  | { readonly is: 'nothing' };

export function findRoute(routes: readonly Route[], method: string, path: string): Found {
  const matching = routes.flatMap((route) => {
    const params = paramsOf(route.path, path);
    return params === undefined ? [] : [{ route, params }];
  });
  // `/api/tunnels/end` is no id.
  const exact = matching.filter(({ route }) => route.path === path);
  const candidates = exact.length > 0 ? exact : matching;
  const wanted = method === 'HEAD' ? 'GET' : method;
  const found = candidates.find(({ route }) => route.method === wanted);
  if (found !== undefined) return { is: 'route', ...found };
  if (candidates.length === 0) return { is: 'nothing' };
  return { is: 'other-method', allow: candidates.map(({ route }) => route.method).join(', ') };
}

function paramsOf(pattern: string, path: string): ReadonlyMap<string, string> | undefined {
  const [wanted, given] = [pattern.split('/'), path.split('/')];
  if (wanted.length !== given.length) return undefined;
  const params = new Map<string, string>();
  for (const [at, part] of wanted.entries()) {
    const text = given[at] ?? '';
    const name = /^\{(\w+)\}$/.exec(part)?.[1];
    if (name === undefined) {
      if (part !== text) return undefined;
      continue;
    }
    const value = decoded(text);
    if (value === undefined || value === '') return undefined;
    params.set(name, value);
  }
  return params;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
