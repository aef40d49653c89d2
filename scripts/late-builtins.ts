/**
 * Modules of Node that a start on loopback does not need. `tls` alone takes two thirds of the time that `node -e 0` takes. In the
 * bundle of the command each is an object that loads it when a name of it is first used.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { ROOT } from './tools.ts';

const LATE_BUILTINS = [
  'node:child_process',
  'node:crypto',
  'node:dgram',
  'node:dns/promises',
  'node:fs/promises',
  'node:http',
  'node:http2',
  'node:https',
  'node:perf_hooks',
  'node:sea',
  'node:stream/promises',
  'node:string_decoder',
  'node:timers/promises',
  'node:tls',
  'node:worker_threads',
  'node:zlib',
];

/** Writes one file for each; gives esbuild's `alias`. */
export function lateBuiltins(): Record<string, string> {
  const folder = `${ROOT}.cache/late-builtins`;
  mkdirSync(folder, { recursive: true });
  const alias: Record<string, string> = {};
  for (const name of LATE_BUILTINS) {
    const path = `${folder}/${name.replace('node:', '').replace('/', '-')}.cjs`;
    writeFileSync(path, lateModule(`process.getBuiltinModule('${name}')`));
    alias[name] = path;
  }
  return alias;
}

/** The text of a module that loads another when a name of it is used. Named one by one, the names of node:zlib take a millisecond. */
export const lateModule = (load: string): string => `let module_;
const load = () => (module_ ??= ${load});
module.exports = Object.create(new Proxy({}, { get: (_, name) => load()[name], has: (_, name) => name in load() }));
Object.defineProperty(module.exports, '__esModule', { value: true });
`;

const NAMED = /(?<=^|[;}])import ?\{([^}]*)\} ?from ?"(node:[a-z_/0-9]+)";/gm;
const WHOLE = /(?<=^|[;}])import ?(?:\* ?as )?([\w$]+) from ?"(node:[a-z_/0-9]+)";/gm;

/**
 * `import` of a module of Node reads every property of it, and thereby loads what stands behind getters (undici and TLS
 * behind `http`), which takes as long as Node's own start. Takes a bundle of esbuild; gives one that asks for these modules.
 */
export function withoutBuiltinImports(text: string): string {
  const asked = text
    .replace(NAMED, (_, names: string, name: string) => {
      return `const {${names.replaceAll(' as ', ': ')}} = process.getBuiltinModule("${name}");`;
    })
    .replace(WHOLE, (_, local: string, name: string) => `const ${local} = process.getBuiltinModule("${name}");`);
  const left = /(?<=^|[;}])import\b[^;"]*"node:[^;]*;/m.exec(asked)?.[0];
  if (left !== undefined) throw new Error(`scripts/late-builtins.ts does not know this form of import: ${left}`);
  return asked;
}
