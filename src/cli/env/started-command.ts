import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program and its words, as `spawn` takes them. */
export interface StartedCommand {
  readonly program: string;
  readonly words: readonly string[];
  /** The words are a line that is written for its reader already. */
  readonly windowsVerbatimArguments?: true;
}

/** The first file of that name on PATH that may be executed. */
export function commandPath(name: string, environment: NodeJS.ProcessEnv): string | undefined {
  // The bare name last: beside `npm.cmd` lies a script for other shells.
  const endings = process.platform === 'win32' ? ['.exe', '.cmd', '.bat', ''] : [''];
  const folders = (environment.PATH ?? environment.Path ?? '').split(delimiter).filter((folder) => folder !== '');
  const starts = /[\\/]/.test(name) ? [name] : folders.map((folder) => join(folder, name));
  return starts.flatMap((start) => endings.map((ending) => start + ending)).find(isExecutable);
}

/**
 * On Windows a name may stand for a batch file, as `npm` does, which cmd.exe alone starts. Elsewhere, and for other programs,
 * what was given.
 */
export function startedCommand(
  program: string,
  words: readonly string[],
  environment: NodeJS.ProcessEnv,
): StartedCommand {
  if (process.platform !== 'win32') return { program, words };
  const path = commandPath(program, environment);
  if (path === undefined || !/\.(?:cmd|bat)$/i.test(path)) return { program, words };
  return batchCommand(path, words, environment.comspec || environment.ComSpec || 'cmd.exe');
}

/** Every character that cmd.exe would read as its own is escaped for it. */
export function batchCommand(path: string, words: readonly string[], shell: string): StartedCommand {
  // These hand their words on to another line of cmd.exe.
  const times = /node_modules[\\/]\.bin[\\/][^\\/]+\.cmd$/i.test(path) ? 2 : 1;
  const line = [escaped(path), ...words.map((word) => escapedWord(word, times))].join(' ');
  return { program: shell, words: ['/d', '/s', '/c', `"${line}"`], windowsVerbatimArguments: true };
}

const escaped = (text: string): string => text.replace(/[()\][%!^"`<>&|;, *?]/g, '^$&');

/** In quotation marks, with backslashes doubled before one, as programs of Windows take their words apart. */
function escapedWord(word: string, times: number): string {
  let text = `"${word.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, '$1$1')}"`;
  for (let time = 0; time < times; time++) text = escaped(text);
  return text;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
