import { logLine, out } from '../print.ts';
import type { SetupScope } from './scope.ts';
import { forgetSystemBefore } from './system-before.ts';
import { shortPath } from './text.ts';
import type { Tool } from './tool.ts';
import { isDesktop, TOOLS } from './tools/tools.ts';
import { placeOf, undo } from './undo.ts';

/** Puts back what was there before setup; of all tools where none is named. Gives the exit code. */
export async function undoTools(
  named: readonly Tool[],
  { machine, scope, stateDir, journal }: SetupScope,
  changes: 'made' | 'shown',
): Promise<number> {
  const names = new Set(named.map(({ name }) => name));
  const { entries } = journal.read();
  const chosen = new Set(entries.map(({ tool }) => tool).filter((tool) => names.size === 0 || names.has(tool)));
  for (const name of names) if (!chosen.has(name)) out(`${name}: setup has written nothing there`);
  if (chosen.size === 0 && names.size === 0) out('setup has written nothing');
  if (changes === 'shown') {
    const places = entries
      .filter(({ tool }) => chosen.has(tool))
      .map((entry) => `${entry.tool}: ${shortPath(placeOf(entry), machine.home)}`);
    for (const place of new Set(places)) out(place);
    if (chosen.size > 0)
      out(
        scope === 'system'
          ? 'nothing is changed yet; with --yes it is put back'
          : 'nothing is changed yet: this is a dry run',
      );
    return 0;
  }
  const undone = await undo(chosen, machine, journal, scope);
  let code = 0;
  const lines = new Set<string>();
  const changedSince = new Set(undone.flatMap(({ entry, result }) => (result === 'restored' ? [] : [placeOf(entry)])));
  for (const { entry, result } of undone) {
    const where = `${entry.tool}: ${shortPath(placeOf(entry), machine.home)}`;
    // Beside a value that stays, only this one is as before.
    if (result === 'restored')
      lines.add(
        changedSince.has(placeOf(entry)) ? `${where}: ${entry.key.join(' ')} is as before` : `${where} is as before`,
      );
    else if (result === 'not-ours')
      lines.add(`${where}: ${entry.key.join(' ') || 'it'} is not what setup wrote any more, and stays`);
    else {
      code = 1;
      logLine(`viaduct: ${entry.tool}: ${result.untouched}`);
    }
  }
  for (const line of lines) out(line);
  const left = journal.read().entries;
  const isLeft = (tool: Tool) => isDesktop(tool) && left.some((entry) => entry.tool === tool.name);
  if (!TOOLS.some(isLeft)) forgetSystemBefore(stateDir);
  return code;
}
