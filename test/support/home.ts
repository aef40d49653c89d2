import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { builtCommand, type ExitResult, viaductEnds } from './cli.ts';
import { type RunResult, run } from './run.ts';
import { type TemporaryFolder, temporaryFolder } from './temporary.ts';

/** `node_modules` of the repository; compiled tests have a link to the command alone. */
export const packagesFolder = (): string => join(dirname(dirname(realpathSync(builtCommand()))), 'node_modules');

/** A fresh home: what a tool or the command finds there, the test has put there. */
export class Home implements Disposable {
  readonly #folder: TemporaryFolder = temporaryFolder();
  readonly environment: Readonly<Record<string, string>>;

  constructor(more: Readonly<Record<string, string>> = {}) {
    const { path } = this.#folder;
    this.environment = {
      // npm's own tools stand beside the command.
      PATH: [join(packagesFolder(), '.bin'), process.env.PATH ?? ''].join(delimiter),
      HOME: path,
      XDG_CONFIG_HOME: join(path, '.config'),
      XDG_STATE_HOME: join(path, '.state'),
      XDG_DATA_HOME: join(path, '.data'),
      XDG_CACHE_HOME: join(path, '.cache'),
      XDG_RUNTIME_DIR: join(path, '.run'),
      GIT_CONFIG_NOSYSTEM: '1',
      // Compiled code that the command keeps in its user's cache is nothing that setup writes.
      NODE_DISABLE_COMPILE_CACHE: '1',
      // Shims of rustup look for their toolchains there.
      RUSTUP_HOME: process.env.RUSTUP_HOME ?? join(homedir(), '.rustup'),
      ...more,
    };
    mkdirSync(join(path, '.run'), { mode: 0o700 });
  }

  get path(): string {
    return this.#folder.path;
  }

  /** A file with these bytes, and the folders that it lies in. */
  write(name: string, content: string | Buffer, mode = 0o644): void {
    mkdirSync(dirname(this.at(name)), { recursive: true });
    writeFileSync(this.at(name), content, { mode });
  }

  at(name: string): string {
    return join(this.path, name);
  }

  /** The text of a file; empty where there is none. */
  read(name: string): string {
    try {
      return readFileSync(this.at(name), 'latin1');
    } catch {
      return '';
    }
  }

  /** Every file but those of the command's own state: mode and bytes by path. */
  snapshot(): Readonly<Record<string, string>> {
    const found: Record<string, string> = {};
    const look = (folder: string) => {
      for (const name of readdirSync(this.at(folder)).sort()) {
        const path = join(folder, name);
        const stats = lstatSync(this.at(path));
        if (path === '.state' || path === '.run') continue;
        const mode = (stats.mode & 0o7777).toString(8);
        if (stats.isDirectory()) {
          found[path] = `folder ${mode}`;
          look(path);
        } else if (stats.isSymbolicLink()) found[path] = `link ${readlinkSync(this.at(path))}`;
        else found[path] = `${mode} ${readFileSync(this.at(path)).toString('latin1')}`;
      }
    };
    look('.');
    return found;
  }

  viaduct(...words: string[]): Promise<ExitResult> {
    return viaductEnds(words, this.environment);
  }

  run(
    program: string,
    words: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<RunResult> {
    return run(program, words, { environment: { ...this.environment, ...environment }, cwd: this.path });
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}
