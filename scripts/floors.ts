/**
 * Checks the direction of imports (docs/ARCHITECTURE.md): a file imports lower floors or its own folder, never
 * another room, never a floor above. Test files may import anything.
 *
 *   node scripts/floors.ts [FOLDER]     FOLDER holds the rooms; `src` by default
 */
import { globSync, readFileSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';
import { ROOT } from './tools.ts';

const FLOORS: Readonly<Record<string, number>> = {
  core: 0,
  protocol: 1,
  native: 1,
  relay: 2,
  identity: 2,
  policy: 2,
  limits: 2,
  upstream: 2,
  credentials: 2,
  pac: 2,
  routing: 2,
  watch: 2,
  observe: 2,
  pipeline: 3,
  via: 3,
  config: 3,
  listeners: 4,
  admin: 4,
  workers: 6,
  cli: 7,
};
/** The front desk: the only files outside every room. */
const FRONT_DESK: ReadonlySet<string> = new Set(['index.ts', 'proxy.ts', 'engine.ts', 'wayfinding.ts', 'via.ts']);
const FRONT_DESK_FLOOR = 5;

/** What `core/` and `protocol/` must not touch: they are values in, values out. net and http stay, for pure tables such as isIP(). */
const INPUT_OUTPUT = /^node:(fs|tls|dns|dgram|https|http2|child_process|cluster|worker_threads)\b/;

interface Place {
  readonly floor: number;
  readonly room: string;
}

/** Where a file lives; `path` is relative to the folder of rooms. `undefined`: nowhere that the house knows. */
export function placeOf(path: string): Place | undefined {
  const [room = '', ...rest] = path.split('/');
  if (rest.length === 0) return FRONT_DESK.has(room) ? { floor: FRONT_DESK_FLOOR, room: 'front desk' } : undefined;
  // The settings of a room count as vocabulary, so that config/ can compose them all without entering the room.
  if (rest.join('/') === 'options.ts') return { floor: 1, room: `${room} options` };
  const floor = FLOORS[room];
  return floor === undefined ? undefined : { floor, room };
}

/** Every edge of the tree that points the wrong way, one line each. */
export function wrongEdges(root: string): string[] {
  const files = globSync('**/*.ts', { cwd: root }).map((path) => path.replaceAll('\\', '/'));
  return files
    .filter((path) => !path.endsWith('.test.ts'))
    .sort()
    .flatMap((path) => importsOf(readFileSync(join(root, path), 'utf8')).flatMap((name) => judge(path, name)));
}

function judge(path: string, name: string): string[] {
  const from = placeOf(path);
  if (from === undefined) return [`${path} lies in no room of the house`];
  if (!name.startsWith('.')) {
    return from.floor <= 1 && INPUT_OUTPUT.test(name)
      ? [`${show(path, from)} imports ${name}: no input or output here`]
      : [];
  }
  const target = posix.join(posix.dirname(path), name);
  const to = placeOf(target);
  if (to === undefined) return [`${show(path, from)} imports ${target}, which lies in no room of the house`];
  return to.room === from.room || to.floor < from.floor ? [] : [`${show(path, from)} imports ${show(target, to)}`];
}

const show = (path: string, { floor, room }: Place): string => `${path} (floor ${floor} ${room})`;

function importsOf(source: string): string[] {
  const statements = source.matchAll(/(?:\bfrom\s*|\bimport\s*\(\s*|^\s*import\s+)(['"])([^'"\n]+)\1/gm);
  return [...new Set([...statements].map((match) => match[2] ?? ''))];
}

if (import.meta.main) {
  const wrong = wrongEdges(resolve(process.argv[2] ?? join(ROOT, 'src')));
  for (const line of wrong) process.stderr.write(`${line}\n`);
  if (wrong.length > 0) process.stderr.write('A file imports lower floors or its own folder (docs/ARCHITECTURE.md).\n');
  process.exitCode = wrong.length > 0 ? 1 : 0;
}
