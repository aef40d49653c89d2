import { existsSync, readdirSync } from 'node:fs';
import { extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { readFileBounded } from '../files/read-file.ts';

/** The dashboard is a few hundred kilobytes. */
const FILE_BYTES_MAX = 8 * 1_048_576;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
};

export interface StaticFile {
  readonly type: string;
  readonly bytes: Buffer;
  readonly gzipped: Buffer;
  /** Its name holds a hash of its content: it never changes. */
  readonly isImmutable: boolean;
}

/** The built dashboard. Files are found in a list that is read once: no path of a request ever reaches the file system. */
export class StaticFiles {
  readonly #folder: string | undefined;
  #paths: ReadonlyMap<string, string> | undefined;
  readonly #files = new Map<string, StaticFile>();

  constructor(folder: string | undefined = dashboardFolder()) {
    this.#folder = folder;
  }

  find(path: string): StaticFile | undefined {
    const name = path === '/' ? '/index.html' : path;
    const known = this.#files.get(name);
    if (known !== undefined) return known;
    this.#paths ??= this.#list();
    const file = this.#paths.get(name);
    if (file === undefined) return undefined;
    const bytes = readFileBounded(file, { bytesMax: FILE_BYTES_MAX, pipes: 'refuse' });
    const read: StaticFile = {
      type: TYPES[extname(file)] ?? 'application/octet-stream',
      bytes,
      gzipped: gzipSync(bytes, { level: 9 }),
      isImmutable: name.startsWith('/assets/'),
    };
    this.#files.set(name, read);
    return read;
  }

  #list(): ReadonlyMap<string, string> {
    if (this.#folder === undefined || !existsSync(this.#folder)) return new Map();
    const folder = this.#folder;
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    return new Map(
      entries
        .filter((entry) => entry.isFile())
        .map((entry) => {
          const file = join(entry.parentPath, entry.name);
          return [`/${relative(folder, file).replaceAll('\\', '/')}`, file] as const;
        }),
    );
  }
}

/** Beside the command, wherever a build has put this file; `undefined`: it was not built. */
function dashboardFolder(): string | undefined {
  for (let folder = new URL('./', import.meta.url); ; folder = new URL('../', folder)) {
    if (existsSync(new URL('package.json', folder))) return fileURLToPath(new URL('dist/dashboard/', folder));
    if (folder.pathname === '/') return undefined;
  }
}

/** What stands at `/` where the dashboard was not built. */
export const PLAIN_PAGE: StaticFile = plain(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Viaduct</title>
<h1>Viaduct</h1>
<p>The dashboard is not built here: <code>npm run build</code> makes it.</p>
<p>The API is at <code>/api</code> (<code>/api/openapi.json</code> describes it; <code>viaduct token</code> prints its token),
metrics are at <a href="/metrics">/metrics</a>.</p>
</html>
`);

function plain(text: string): StaticFile {
  const bytes = Buffer.from(text);
  return { type: TYPES['.html'] ?? '', bytes, gzipped: gzipSync(bytes), isImmutable: false };
}
