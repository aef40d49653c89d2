import { request } from './request.ts';

let paths: Promise<ReadonlySet<string> | undefined> | undefined;

/**
 * Whether the API of this proxy has a path; `unknown` where it does not describe itself. A browser reports each 404 as an
 * error in its console, so a section is asked for only where it is there.
 */
export async function offers(path: string): Promise<'yes' | 'no' | 'unknown'> {
  paths ??= readPaths();
  const known = await paths;
  if (known === undefined) return 'unknown';
  return known.has(`/api/${path.replace(/\?.*/, '')}`) ? 'yes' : 'no';
}

/** After a restart it may be another version. */
export function forgetOffers(): void {
  paths = undefined;
}

async function readPaths(): Promise<ReadonlySet<string> | undefined> {
  try {
    const described = await request<{ paths?: Readonly<Record<string, unknown>> }>('GET', 'openapi.json');
    return described.paths === undefined ? undefined : new Set(Object.keys(described.paths));
  } catch {
    return undefined;
  }
}
