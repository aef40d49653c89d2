/**
 * Packages that most starts do not need, half of all code of the command: V8 would keep it in the memory of every process. They are a
 * script of their own, `dist/packages.js`, which is loaded when a name of one of them is first used.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { lateModule } from './late-builtins.ts';
import { ROOT } from './tools.ts';

const LATE_PACKAGES = ['ioredis', 'jsonc-parser', 'smol-toml', 'tldts', 'yaml'];

/** Where Node would take a form that looks for its parts when it is loaded: in a bundle it finds none. */
const FORMS: Readonly<Record<string, string>> = { 'jsonc-parser': 'jsonc-parser/lib/esm/main.js' };

/** `more`: modules for this script by their names, that something else stands for in the command. Gives its entry, and esbuild's `alias` for the command. */
export function latePackages(more: Readonly<Record<string, string>>): {
  readonly entry: string;
  readonly alias: Readonly<Record<string, string>>;
} {
  const folder = `${ROOT}.cache/late-packages`;
  mkdirSync(folder, { recursive: true });
  const alias: Record<string, string> = {};
  const require = createRequire(import.meta.url);
  const paths = new Map(Object.entries(more));
  for (const name of LATE_PACKAGES) {
    const path = `${folder}/${name}.cjs`;
    writeFileSync(path, lateModule(`viaductPackage('${name}')`));
    alias[name] = path;
    paths.set(name, require.resolve(FORMS[name] ?? name));
  }
  const entry = `${folder}/entry.cjs`;
  const cases = [...paths].map(([name, path]) => `    case '${name}': return require(${JSON.stringify(path)});\n`);
  writeFileSync(entry, `module.exports = (name) => {\n  switch (name) {\n${cases.join('')}  }\n};\n`);
  return { entry, alias };
}
