import { type OpenedFile, openFile, refuseReadOnly, UntouchedError, untouched } from './edit-file.ts';
import { FormatError } from './formats/format.ts';
import type { Splice } from './journal.ts';
import type { Machine } from './machine.ts';
import type { Setting, Tool, Wanted } from './tool.ts';

/** A setting beside what is there now. */
export interface Compared {
  readonly setting: Setting;
  /** `undefined`: it is not set. */
  readonly before: string | undefined;
  /** `kept`: the user has something there, and it stays. */
  readonly state: 'same' | 'differs' | 'kept';
}

/** A tool beside what it says now; `untouched`: why it is left alone. */
export type Plan =
  | { readonly kind: 'compared'; readonly tool: Tool; readonly compared: readonly Compared[] }
  | { readonly kind: 'untouched'; readonly tool: Tool; readonly why: string };

/** Reads what a tool says now, and changes nothing. */
export async function planOf(tool: Tool, machine: Machine, wanted: Wanted): Promise<Plan> {
  const blocked = tool.blocked?.(machine, wanted);
  if (blocked !== undefined) return { kind: 'untouched', tool, why: blocked };
  try {
    const compared: Compared[] = [];
    for (const setting of await tool.settings(machine, wanted)) {
      const before = await presentValue(setting, machine, tool.scope);
      const state = stateOf(setting, before);
      if (state === 'differs' && setting.kind === 'file')
        refuseReadOnly(openFile(setting.path, machine.home, tool.scope));
      compared.push({ setting, before, state });
    }
    return { kind: 'compared', tool, compared };
  } catch (error) {
    if (error instanceof UntouchedError) return { kind: 'untouched', tool, why: error.message };
    throw error;
  }
}

function stateOf(setting: Setting, before: string | undefined): Compared['state'] {
  if (before === setting.value) return 'same';
  return setting.kind === 'file' && setting.existing === 'keep' && before !== undefined ? 'kept' : 'differs';
}

async function presentValue(setting: Setting, machine: Machine, scope: Tool['scope']): Promise<string | undefined> {
  if (setting.kind === 'program') {
    const { code, out } = await machine.run(setting.program.readWords(setting.key));
    return code === 0 ? setting.program.parse(out, setting.key) : undefined;
  }
  const file = openFile(setting.path, machine.home, scope);
  return onFile(file, () => setting.format.read(file.text, setting.key));
}

/** Throws UntouchedError for a file whose text cannot be edited. */
export function onFile<T>(file: Pick<OpenedFile, 'path'>, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof FormatError) throw untouched(file.path, error.message);
    throw error;
  }
}

/** The one place where two texts differ. */
export function spliceBetween(before: string, after: string): Splice {
  const most = Math.min(before.length, after.length);
  let at = 0;
  while (at < most && before[at] === after[at]) at++;
  let tail = 0;
  while (tail < most - at && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  return { at, removed: before.slice(at, before.length - tail), inserted: after.slice(at, after.length - tail) };
}
