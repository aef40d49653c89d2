import { systemSetting } from '../../pac/discovery/system.ts';
import { systemWorld } from '../../pac/discovery/world.ts';
import { answers } from '../answers.ts';
import { logLine, out } from '../print.ts';
import { isServiceInstalled } from '../service/service.ts';
import { apply } from './apply.ts';
import { type Plan, planOf } from './plan.ts';
import type { SetupScope } from './scope.ts';
import { keepSystemBefore, readSystemBefore, shownBefore } from './system-before.ts';
import { changeLines, placeOfSetting, shortPath } from './text.ts';
import type { Tool, Wanted } from './tool.ts';
import { isDesktop } from './tools/tools.ts';
import { undo } from './undo.ts';

/** How far setup goes. */
interface Going {
  readonly changes: 'made' | 'shown';
  /** What a tool needs afterwards. */
  readonly after: 'run' | 'printed';
}

/** Points tools at the proxy; gives the exit code. */
export async function setUpTools(
  tools: readonly Tool[],
  wanted: Wanted,
  at: SetupScope,
  going: Going,
): Promise<number> {
  let code = 0;
  const done: string[] = [];
  for (const tool of tools) {
    if (!tool.isFound(at.machine)) {
      logLine(`viaduct: ${tool.name} is not on this machine; viaduct setup --list shows what is`);
      code = 1;
      continue;
    }
    const result = await setUpTool(tool, wanted, at, going);
    if (result === 'untouched') code = 1;
    if (result === 'changed') done.push(tool.name);
  }
  await closingLines(done, wanted, at, going);
  return code;
}

type Result = 'changed' | 'same' | 'untouched';

async function setUpTool(tool: Tool, wanted: Wanted, at: SetupScope, going: Going): Promise<Result> {
  const plan = await planOf(tool, at.machine, wanted);
  if (plan.kind === 'untouched') return untouched(tool, plan.why);
  const changes = plan.compared.filter(({ state }) => state === 'differs');
  for (const kept of plan.compared.filter(({ state }) => state === 'kept')) {
    out(
      `${tool.name}: ${shortPath(placeOfSetting(kept), at.machine.home)}: ${kept.setting.key.join(' ')} stays as you have it`,
    );
  }
  if (changes.length === 0) {
    out(`${tool.name}: set up already`);
    return 'same';
  }
  let place = '';
  for (const change of changes) {
    if (placeOfSetting(change) !== place) out(`${tool.name}: ${shortPath(placeOfSetting(change), at.machine.home)}`);
    place = placeOfSetting(change);
    for (const line of changeLines(change)) out(`  ${line}`);
  }
  if (going.changes === 'made') {
    const applied = await make(plan, wanted, at);
    if (applied.kind === 'untouched') return untouched(tool, applied.why);
  }
  if (tool.advice !== undefined) out(`  ${tool.advice}`);
  await afterwards(tool, at, going);
  return 'changed';
}

async function make(
  plan: Plan & { readonly kind: 'compared' },
  wanted: Wanted,
  { machine, journal, scope, stateDir }: SetupScope,
) {
  const { tool } = plan;
  // What setup wrote before gives way first, so that the journal keeps the user's own values and not ours.
  const isKnown = journal.read().entries.some((entry) => entry.tool === tool.name);
  if (isKnown) await undo(new Set([tool.name]), machine, journal, scope);
  if (isDesktop(tool)) {
    const { host, port } = wanted.proxy;
    keepSystemBefore(stateDir, `${host}:${port}`, await systemSetting(systemWorld(process.env)));
  }
  const fresh = isKnown ? await planOf(tool, machine, wanted) : plan;
  if (fresh.kind === 'untouched') return fresh;
  return apply(fresh, machine, journal, new Date());
}

function untouched({ name }: Tool, why: string): 'untouched' {
  logLine(`viaduct: ${name}: ${why}`);
  return 'untouched';
}

async function afterwards({ after, name }: Tool, { machine }: SetupScope, going: Going): Promise<void> {
  if (after === undefined || !machine.hasCommand(after[0] ?? '')) return;
  if (going.after === 'printed' || going.changes === 'shown') return out(`  then run: ${after.join(' ')}`);
  const { code, err } = await machine.run(after);
  if (code !== 0) logLine(`viaduct: ${name}: ${after.join(' ')} has failed: ${err.trim().split('\n')[0] ?? ''}`);
}

async function closingLines(done: readonly string[], wanted: Wanted, at: SetupScope, going: Going): Promise<void> {
  if (going.changes === 'shown') {
    const scope = at.scope === 'system' ? ` --scope system --through ${wanted.proxy.url} --yes` : '';
    const isWindows = at.machine.platform === 'win32';
    const by = isWindows || at.machine.isAdministrator ? '' : 'sudo ';
    const where = isWindows ? ', in a terminal that runs as administrator' : '';
    if (done.length === 0) return out('nothing would be changed');
    return out(
      at.scope === 'system'
        ? `nothing is changed yet; to do it${where}: ${by}${wanted.command.join(' ')} setup ${done.join(' ')}${scope}`
        : 'nothing is changed yet: this is a dry run',
    );
  }
  if (done.length === 0) return;
  const before = readSystemBefore(at.stateDir);
  const shown = before && shownBefore(before);
  if (shown) out(`the system's own setting, ${shown}, is used by viaduct itself from now on (--pac system)`);
  out(
    `set up: ${done.join(', ')}; viaduct setup --undo${at.scope === 'system' ? ' --scope system --yes' : ''} puts everything back`,
  );
  // A PAC is served by a viaduct alone: others start as they do.
  if (at.scope === 'user' && wanted.pacUrl !== undefined && !isServiceInstalled()) {
    out('what is set up fails while viaduct is stopped; viaduct service install lets it start when you log in');
  }
  if (!(await answers(wanted.proxy))) {
    logLine(`viaduct: nothing answers at ${wanted.proxy.url} now; what is set up fails until a proxy runs there`);
  }
}
