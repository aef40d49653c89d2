import { existsSync, readFileSync } from 'node:fs';

/** Version of the package that this file belongs to, wherever a build has put the file. */
export function version(): string {
  for (let folder = new URL('./', import.meta.url); ; folder = new URL('../', folder)) {
    const manifest = new URL('package.json', folder);
    if (existsSync(manifest)) {
      const { version: text }: { version?: string } = JSON.parse(readFileSync(manifest, 'utf8'));
      return text ?? 'unknown';
    }
    if (folder.pathname === '/') return 'unknown';
  }
}
