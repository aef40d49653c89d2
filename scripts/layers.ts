/**
 * Checks the imports of `src/` (docs/ARCHITECTURE.md): a file imports lower layers or its own module, and no file
 * imports itself by way of others. Test files may import anything.
 *
 *   node scripts/layers.ts [FOLDER]     FOLDER holds the modules; `src` by default
 */
import { globSync, readFileSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';
import { ROOT } from './tools.ts';

/** From the bottom up. Modules of one layer do not import each other. */
const LAYERS: readonly (readonly string[])[] = [
  ['util'],
  ['contracts'],
  ['settings'],
  ['protocol', 'native', 'files'],
  ['net', 'gssapi'],
  ['upstream-auth', 'credentials', 'identity', 'limits', 'network', 'observe', 'pac', 'policy', 'relay', 'routing'],
  ['upstream', 'sessions'],
  ['pipeline', 'via', 'config'],
  ['clients'],
  ['admin'],
  ['app'],
  ['cluster'],
  ['cli'],
];
const LAYER_OF: ReadonlyMap<string, number> = new Map(
  LAYERS.flatMap((modules, layer) => modules.map((module) => [module, layer] as const)),
);
/** What a program imports: the only file outside every module, beside the command in height. */
const ENTRY = 'index.ts';
/** The settings of a module are open to `config/`, which composes them all, and import nothing of their module. */
const SETTINGS_OF_A_MODULE = 'options.ts';

/** What these must not touch: they are values in, values out. net and http stay, for pure tables such as isIP(). */
const PURE: ReadonlySet<string> = new Set(['util', 'contracts', 'settings', 'protocol']);
const INPUT_OUTPUT = /^node:(fs|tls|dns|dgram|https|http2|child_process|cluster|worker_threads)\b/;

interface Place {
  readonly layer: number;
  readonly module: string;
}

/** Where a file belongs; `path` is relative to the folder of modules. `undefined`: to no known module. */
export function placeOf(path: string): Place | undefined {
  const [module = '', ...rest] = path.split('/');
  if (rest.length === 0) return module === ENTRY ? { layer: LAYERS.length, module: ENTRY } : undefined;
  if (rest.join('/') === SETTINGS_OF_A_MODULE) {
    return { layer: (LAYER_OF.get('settings') ?? 0) + 0.5, module: `${module} options` };
  }
  const layer = LAYER_OF.get(module);
  return layer === undefined ? undefined : { layer, module };
}

/** The imports of every file that is no test, by path. */
type Graph = ReadonlyMap<string, readonly string[]>;

function graphOf(root: string): Graph {
  const files = globSync('**/*.ts', { cwd: root }).map((path) => path.replaceAll('\\', '/'));
  return new Map(
    files
      .filter((path) => !path.endsWith('.test.ts'))
      .sort()
      .map((path) => [path, importsOf(readFileSync(join(root, path), 'utf8'))]),
  );
}

/** Every import that goes upward or sideways, and every cycle, one line each. */
export function wrongImports(root: string): string[] {
  const graph = graphOf(root);
  return [
    ...[...graph].flatMap(([path, imports]) => imports.flatMap((name) => judge(path, name))),
    ...cyclesIn(graph).map((cycle) => `${cycle.join(' → ')}: a cycle`),
  ];
}

function judge(path: string, name: string): string[] {
  const from = placeOf(path);
  if (from === undefined) return [`${path} belongs to no known module`];
  if (!name.startsWith('.')) {
    return PURE.has(from.module) && INPUT_OUTPUT.test(name)
      ? [`${show(path, from)} imports ${name}: no input or output here`]
      : [];
  }
  const target = targetOf(path, name);
  const to = placeOf(target);
  if (to === undefined) return [`${show(path, from)} imports ${target}, which belongs to no known module`];
  return to.module === from.module || to.layer < from.layer ? [] : [`${show(path, from)} imports ${show(target, to)}`];
}

const targetOf = (path: string, name: string): string => posix.join(posix.dirname(path), name);

const show = (path: string, { layer, module }: Place): string => `${path} (layer ${layer} ${module})`;

function importsOf(source: string): string[] {
  const statements = source.matchAll(/(?:\bfrom\s*|\bimport\s*\(\s*|^\s*import\s+)(['"])([^'"\n]+)\1/gm);
  return [...new Set([...statements].map((match) => match[2] ?? ''))];
}

/**
 * One cycle through each import that closes one, from the file to itself. Imports of types count too: two files that
 * need each other's types are one idea, or have a third in common.
 */
function cyclesIn(graph: Graph): string[][] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string): void => {
    const at = trail.indexOf(path);
    if (at >= 0) return void cycles.push([...trail.slice(at), path]);
    if (done.has(path)) return;
    trail.push(path);
    for (const name of graph.get(path) ?? []) if (name.startsWith('.')) visit(targetOf(path, name));
    trail.pop();
    done.add(path);
  };
  for (const path of graph.keys()) visit(path);
  return cycles;
}

if (import.meta.main) {
  const wrong = wrongImports(resolve(process.argv[2] ?? join(ROOT, 'src')));
  for (const line of wrong) process.stderr.write(`${line}\n`);
  if (wrong.length > 0) {
    process.stderr.write('A file imports lower layers or its own module, without cycles (docs/ARCHITECTURE.md).\n');
  }
  process.exitCode = wrong.length > 0 ? 1 : 0;
}
