import { hashOf, type OpenedFile, openFile, UntouchedError, writeText } from './edit-file.ts';
import type { Entry, FileEntry, JournalFile } from './journal.ts';
import type { Machine } from './machine.ts';
import { type Compared, onFile, type Plan, spliceBetween } from './plan.ts';
import type { Setting, Tool } from './tool.ts';

type FileSetting = Setting & { readonly kind: 'file' };
type ProgramSetting = Setting & { readonly kind: 'program' };

export type Applied = { readonly kind: 'done' } | { readonly kind: 'untouched'; readonly why: string };

/** Writes what a plan changes. The journal knows of every change before it is made. */
export async function apply(
  { tool, compared }: Plan & { readonly kind: 'compared' },
  machine: Machine,
  journal: JournalFile,
  now: Date,
): Promise<Applied> {
  const changes = compared.filter(({ state }) => state === 'differs');
  try {
    const paths = new Set(changes.flatMap(({ setting }) => (setting.kind === 'file' ? [setting.path] : [])));
    for (const path of paths) {
      const settings = changes.flatMap(({ setting }) =>
        setting.kind === 'file' && setting.path === path ? [setting] : [],
      );
      writeFile(openFile(path, machine.home, tool.scope), settings, { tool, journal, now });
    }
    for (const change of changes) {
      if (change.setting.kind === 'program')
        await writeByProgram(change, change.setting, { tool, journal, now, machine });
    }
    return { kind: 'done' };
  } catch (error) {
    if (error instanceof UntouchedError) return { kind: 'untouched', why: error.message };
    throw error;
  }
}

interface Context {
  readonly tool: Tool;
  readonly journal: JournalFile;
  readonly now: Date;
}

function writeFile(file: OpenedFile, settings: readonly FileSetting[], { tool, journal, now }: Context): void {
  let { text } = file;
  const entries: FileEntry[] = [];
  for (const { path, format, key, value } of settings) {
    const [before, next] = onFile(file, () => [format.read(text, key), format.write(text, key, value)] as const);
    const splice = spliceBetween(text, next);
    const { name: tool_ } = tool;
    const sha256 = hashOf(next);
    const entry = { tool: tool_, writtenAt: now.toISOString(), path, format: format.name, key: [...key], value };
    entries.push({ kind: 'file', ...entry, ...(before !== undefined && { before }), splice, sha256 });
    text = next;
  }
  const known = journal.read();
  const written = (made: readonly string[]): Entry[] =>
    entries.map((entry) => (file.exists ? entry : { ...entry, made: { folders: [...made] } }));
  journal.write({ ...known, entries: [...known.entries, ...written([])] });
  try {
    const made = writeText(file, text);
    if (made.length > 0) journal.write({ ...known, entries: [...known.entries, ...written(made)] });
  } catch (error) {
    journal.write(known);
    throw error;
  }
}

async function writeByProgram(
  { before }: Compared,
  { program, key, value }: ProgramSetting,
  { tool, journal, now, machine }: Context & { readonly machine: Machine },
): Promise<void> {
  const known = journal.read();
  const entry: Entry = {
    tool: tool.name,
    kind: 'program',
    writtenAt: now.toISOString(),
    program: program.name,
    key: [...key],
    ...(before !== undefined && { before }),
    value,
  };
  journal.write({ ...known, entries: [...known.entries, entry] });
  const words = program.writeWords(key, value);
  const { code, err } = await machine.run(words);
  // Without a session gsettings succeeds, and keeps the value in its own memory alone.
  const read = code === 0 ? await machine.run(program.readWords(key)) : undefined;
  if (read?.code === 0 && program.parse(read.out, key) === value) return;
  journal.write(known);
  if (read !== undefined)
    throw new UntouchedError(`${words[0]} has not kept ${key.join(' ')}; is this a session of the desktop?`);
  throw new UntouchedError(`${words[0]} has not set ${key.join(' ')}: ${err.trim().split('\n')[0] || 'it failed'}`);
}
