/**
 * zod takes as long to build the schemas of all settings as Node takes to start, and a start with known settings checks nothing
 * (src/config/known-settings.ts). In the bundle of the command a schema is only noted down, and built when it is first used.
 */
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as zod from 'zod';
import { ROOT } from './tools.ts';

const ZOD = dirname(fileURLToPath(import.meta.resolve('zod')));
/** What gives a result and no schema. */
const AT_ONCE = ['toJSONSchema'];
/** A constant, which needs nothing else of zod. */
const CONSTANT = 'NEVER';

/** Methods that give another schema. Every other property of a schema builds it. */
const NOTED = [
  ...[
    'array',
    'brand',
    'catch',
    'catchall',
    'check',
    'default',
    'describe',
    'extend',
    'int',
    'length',
    'max',
    'meta',
    'min',
  ],
  ...['nonempty', 'nonnegative', 'nullable', 'nullish', 'optional', 'or', 'partial', 'pipe', 'positive', 'prefault'],
  ...['readonly', 'refine', 'regex', 'strict', 'superRefine', 'transform', 'trim'],
];

/** Writes the modules that stand for zod; gives the one for esbuild's `alias`, and the one with the functions that are in use. */
export function lateZod(): { readonly late: string; readonly real: string } {
  const folder = `${ROOT}.cache/late-zod`;
  mkdirSync(folder, { recursive: true });
  const used = functionsInUse();
  const [real, late] = [join(folder, 'real.mjs'), join(folder, 'late.mjs')];
  writeFileSync(real, `export { ${used.join(', ')} } from ${JSON.stringify(join(ZOD, 'v4/classic/external.js'))};\n`);
  const noted = used.filter((name) => !AT_ONCE.includes(name));
  const lines = [
    `export { ${CONSTANT} } from ${JSON.stringify(join(ZOD, 'v4/core/core.js'))};`,
    ...noted.map((name) => `const ${local(name)} = (...args) => schema(() => real().${name}(...args.map(build)));`),
    ...AT_ONCE.map((name) => `const ${local(name)} = (...args) => real().${name}(...args.map(build));`),
    `export { ${[...noted, ...AT_ONCE].map((name) => `${local(name)} as ${name}`).join(', ')} };`,
  ];
  writeFileSync(late, `${CORE}${lines.join('\n')}\n`);
  return { late, real };
}

const local = (name: string): string => `late_${name}`;

/** As sources write them: `z.string`. Types are not functions, and begin with a capital letter. */
function functionsInUse(): string[] {
  const names = new Set<string>();
  for (const path of globSync('src/**/*.ts', { cwd: ROOT })) {
    const text = readFileSync(ROOT + path, 'utf8');
    if (!/import \* as z from 'zod'/.test(text)) continue;
    for (const [, name = ''] of text.matchAll(/\bz\s*\.([a-z]\w*)/g))
      if (name in zod && name !== 'core') names.add(name);
  }
  return [...names].sort();
}

/** In the words of the bundle: `build` gives the real schema of what was noted, also inside of lists and shapes. */
const CORE = `const NOTED = new Set(${JSON.stringify(NOTED)});
const builders = new WeakMap();
const real = () => viaductPackage('zod');
function build(value) {
  const builder = builders.get(value);
  if (builder !== undefined) return builder();
  if (Array.isArray(value)) return value.map(build);
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, build(part)]));
}
function schema(make) {
  // A start that has checked its settings needs no schema any more: what nothing else holds is built again.
  let made;
  const builder = () => {
    let built = made?.deref();
    if (built === undefined) {
      built = make();
      made = new WeakRef(built);
    }
    return built;
  };
  const late = new Proxy({}, {
    get(_, key) {
      if (made === undefined && NOTED.has(key)) return (...args) => schema(() => builder()[key](...args.map(build)));
      return builder()[key];
    },
    has: (_, key) => key in builder(),
    getPrototypeOf: () => Object.getPrototypeOf(builder()),
  });
  builders.set(late, builder);
  return late;
}
`;
