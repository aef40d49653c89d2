import { hashOf, type OpenedFile, openFile, removeFile, UntouchedError, writeText } from './edit-file.ts';
import { formatNamed } from './formats/formats.ts';
import type { Entry, FileEntry, JournalFile, ProgramEntry } from './journal.ts';
import type { Machine } from './machine.ts';
import { onFile } from './plan.ts';
import type { Tool } from './tool.ts';
import { programNamed } from './tools/tools.ts';

/** What became of one thing that setup had written. */
export interface Undone {
  readonly entry: Entry;
  /** `not-ours`: another value stands there by now, and stays. */
  readonly result: 'restored' | 'not-ours' | { readonly untouched: string };
}

/** Puts back what setup has written for these tools, the last thing first, where the present value is still ours. */
export async function undo(
  tools: ReadonlySet<string>,
  machine: Machine,
  journal: JournalFile,
  scope: Tool['scope'],
): Promise<readonly Undone[]> {
  const known = journal.read();
  const chosen = known.entries.filter(({ tool }) => tools.has(tool)).toReversed();
  const undone: Undone[] = [];
  for (const entry of chosen) {
    if (entry.kind === 'program') undone.push({ entry, result: await undoProgram(entry, machine) });
  }
  const files = Map.groupBy(
    chosen.flatMap((entry) => (entry.kind === 'file' ? [entry] : [])),
    ({ path }) => path,
  );
  for (const [path, entries] of files) undone.push(...undoFile(path, entries, machine, scope));
  const done = new Set(undone.flatMap(({ entry, result }) => (typeof result === 'object' ? [] : [entry])));
  journal.write({ ...known, entries: known.entries.filter((entry) => !done.has(entry)) });
  return undone;
}

/** Where an entry stands, for a person. */
export const placeOf = (entry: Entry): string =>
  entry.kind === 'file' ? entry.path : `${entry.program} ${entry.key.slice(0, 2).join(' ')}`;

/** `entries`: the last one first. */
function undoFile(path: string, entries: readonly FileEntry[], machine: Machine, scope: Tool['scope']): Undone[] {
  try {
    const file = openFile(path, machine.home, scope);
    let { text } = file;
    const undone = entries.map((entry): Undone => {
      const restored = restoredText(file, text, entry);
      text = restored ?? text;
      return { entry, result: restored === undefined ? 'not-ours' : 'restored' };
    });
    const made = entries.flatMap((entry) => (entry.made === undefined ? [] : [entry.made.folders]));
    if (text === '' && made.length > 0) removeFile(file.path, made.find((folders) => folders.length > 0) ?? []);
    else if (text !== file.text) writeText(file, text);
    return undone;
  } catch (error) {
    if (!(error instanceof UntouchedError)) throw error;
    return entries.map((entry) => ({ entry, result: { untouched: error.message } }));
  }
}

/** `undefined`: another value stands there. */
function restoredText(file: OpenedFile, text: string, entry: FileEntry): string | undefined {
  const { at, removed, inserted } = entry.splice;
  // The file has not been changed since: every byte comes back.
  if (hashOf(text) === entry.sha256) return text.slice(0, at) + removed + text.slice(at + inserted.length);
  const format = formatNamed(entry.format);
  if (format === undefined) return undefined;
  return onFile(file, () => {
    if (format.read(text, entry.key) !== entry.value) return undefined;
    return entry.before === undefined ? format.remove(text, entry.key) : format.write(text, entry.key, entry.before);
  });
}

async function undoProgram(entry: ProgramEntry, machine: Machine): Promise<Undone['result']> {
  const program = programNamed(entry.program);
  if (program === undefined) return { untouched: `${placeOf(entry)} is of another version of viaduct` };
  const read = await machine.run(program.readWords(entry.key));
  const present = read.code === 0 ? program.parse(read.out, entry.key) : undefined;
  if (present !== entry.value) return 'not-ours';
  const words =
    entry.before === undefined ? program.removeWords(entry.key) : program.writeWords(entry.key, entry.before);
  const { code, err } = await machine.run(words);
  if (code === 0) return 'restored';
  return { untouched: `${words[0]} has not put ${placeOf(entry)} back: ${err.trim().split('\n')[0] || 'it failed'}` };
}
