import { answers } from '../answers.ts';
import { logLine, out } from '../print.ts';
import { type Plan, planOf } from './plan.ts';
import type { SetupScope } from './scope.ts';
import { columns, placeOfSetting, shortPath } from './text.ts';
import type { Tool, Wanted } from './tool.ts';
import { TOOLS } from './tools/tools.ts';

/** Shows every tool of this machine, or those that are named, and whether they are set up. */
export async function listTools(wanted: Wanted, at: SetupScope, named: readonly Tool[]): Promise<number> {
  const asked = TOOLS.filter((tool) => tool.scope === at.scope && (named.length === 0 || named.includes(tool)));
  const isAnswering = await answers(wanted.proxy);
  const known = new Set(at.journal.read().entries.map(({ tool }) => tool));
  const rows: string[][] = [];
  for (const tool of asked) {
    if (tool.isFound(at.machine)) rows.push(await rowOf(tool, wanted, at, { known, isAnswering }));
  }
  for (const line of columns([['tool', 'state', 'where'], ...rows])) out(line);
  const absent = asked.filter((tool) => !tool.isFound(at.machine));
  if (absent.length > 0) out(`not on this machine: ${absent.map(({ name }) => name).join(', ')}`);
  out(`proxy: ${wanted.proxy.url}${isAnswering ? '' : ', where nothing answers now'}`);
  if (!isAnswering && rows.some(([, state]) => state?.startsWith('set up')))
    logLine('viaduct: tools that are set up fail now; start the proxy, or run viaduct setup --undo');
  return 0;
}

interface Seen {
  readonly known: ReadonlySet<string>;
  readonly isAnswering: boolean;
}

async function rowOf(tool: Tool, wanted: Wanted, at: SetupScope, seen: Seen): Promise<string[]> {
  const plan = await planOf(tool, at.machine, wanted);
  if (plan.kind === 'untouched') return [tool.name, 'cannot be set up', plan.why];
  const places = new Set(plan.compared.map((one) => shortPath(placeOfSetting(one), at.machine.home)));
  return [tool.name, stateOf(tool, plan, seen), [...places].join(', ')];
}

function stateOf(tool: Tool, { compared }: Plan & { readonly kind: 'compared' }, { known, isAnswering }: Seen): string {
  const isSetUp = compared.length > 0 && compared.every(({ state }) => state !== 'differs');
  if (isSetUp) return isAnswering ? 'set up' : 'set up, fails now';
  if (known.has(tool.name)) return 'set up for another proxy, or changed since';
  const hasOther = compared.some(({ state, before }) => state === 'differs' && before !== undefined);
  if (hasOther) return 'uses something else';
  return tool.when === 'named' ? 'only when named' : 'not set up';
}
