import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { ROOT } from '../scripts/tools.ts';
import { isInstalled } from '../test/support/requires.ts';
import type { Peer } from './peer.ts';

const PROGRAM = `${ROOT}.cache/bench/load`;
const SOURCES = ['load.c', 'origin.c', 'net.h'].map((name) => `${ROOT}bench/${name}`);

/** One mode may take this long, so that a proxy that hangs does not block the whole run. */
const LOAD_SECONDS_MAX = 120;

/** Why the load generator cannot be built here, and what to do about it; `undefined` when it can. */
export function whyNotBuilt(): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux: epoll, and figures from /proc';
  return isInstalled({ name: 'gcc', command: 'cc' }) ? undefined : 'no C compiler; apt-get install gcc libc6-dev';
}

/** Compiles the load generator when it is missing or older than its source. */
export function buildLoad(): void {
  const modifiedMs = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (SOURCES.every((source) => modifiedMs(source) < modifiedMs(PROGRAM))) return;
  mkdirSync(`${ROOT}.cache/bench`, { recursive: true });
  const units = SOURCES.filter((source) => source.endsWith('.c'));
  const done = spawnSync('cc', ['-O2', '-Wall', '-Wextra', '-o', PROGRAM, ...units], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`the load generator does not compile: ${done.error?.message ?? done.stderr}`);
}

/** Numbers that a mode of the load generator prints, by name. */
export type LoadResult = Readonly<Record<string, number>>;

/** A running mode. Disposing kills it if it still runs. */
export interface Load extends Disposable {
  /** Its line of numbers. When it ends without one, rejects with its error output. */
  readonly counted: Promise<LoadResult>;
  /** Ends its input, and thereby the connections that it holds open; resolves when it has exited. */
  release(): Promise<void>;
}

/** Starts `load MODE …`; see load.c for the modes. */
export const startLoad = (mode: string, ...numbers: readonly number[]): Load => start(mode, numbers, {});

function start(mode: string, numbers: readonly number[], more: NodeJS.ProcessEnv): Load {
  const child = spawn(PROGRAM, [mode, ...numbers.map(String)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { LOAD_SECONDS_MAX: String(LOAD_SECONDS_MAX), ...more },
  });
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const counted = firstLine(child, mode);
  counted.catch(() => undefined);
  return {
    counted,
    release() {
      child.stdin.end();
      return gone;
    },
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  };
}

/** Runs a mode to its end. */
export const load = (mode: string, ...numbers: readonly number[]): Promise<LoadResult> =>
  loadWith('', mode, ...numbers);

/** A proxy that runs. */
interface Reached {
  readonly peer: Peer;
  readonly port: number;
}

/** Runs a mode through a peer, in what it understands. */
export const loadThrough = (
  { peer, port }: Reached,
  mode: string,
  ...numbers: readonly number[]
): Promise<LoadResult> => loadSpeaking(peer.speaks ?? '', mode, port, ...numbers);

/** Starts a mode through a peer. */
export const startLoadThrough = ({ peer, port }: Reached, mode: string, ...numbers: readonly number[]): Load =>
  start(mode, [port, ...numbers], { LOAD_SPEAKS: peer.speaks ?? '' });

/** The same by another client protocol: LOAD_SPEAKS of load.c. */
export async function loadSpeaking(what: string, mode: string, ...numbers: readonly number[]): Promise<LoadResult> {
  using running = start(mode, numbers, { LOAD_SPEAKS: what });
  const counted = await running.counted;
  await running.release();
  return counted;
}

/** The same with a header field in every CONNECT. */
export async function loadWith(field: string, mode: string, ...numbers: readonly number[]): Promise<LoadResult> {
  using running = start(mode, numbers, field === '' ? {} : { LOAD_FIELD: field });
  const counted = await running.counted;
  await running.release();
  return counted;
}

/** The ports of the services behind the proxy. */
export interface Origin extends Disposable {
  readonly source: number;
  readonly sink: number;
  readonly echo: number;
  readonly http: number;
}

/**
 * The echo has a process of its own: beside downloads of a fast proxy it would wait in the queue of the origin, and the
 * faster the proxy, the longer.
 */
export async function startOrigin(): Promise<Origin> {
  using stack = new DisposableStack();
  const echoing = stack.use(startLoad('origin'));
  const others = stack.use(startLoad('origin'));
  const { echo = 0 } = await echoing.counted;
  const { source = 0, sink = 0, http = 0 } = await others.counted;
  const all = stack.move();
  return { source, sink, echo, http, [Symbol.dispose]: () => all.dispose() };
}

function firstLine(child: ChildProcess, mode: string): Promise<LoadResult> {
  return new Promise((resolve, reject) => {
    let errors = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.once('error', reject);
    child.once('close', (code, signal) => reject(new Error(errors.trim() || `load ${mode} ended: ${signal ?? code}`)));
    if (child.stdout === null) return reject(new Error('no pipe'));
    createInterface(child.stdout).once('line', (line) => resolve(numbersOf(line)));
  });
}

function numbersOf(line: string): LoadResult {
  const parsed: unknown = JSON.parse(line);
  if (typeof parsed !== 'object' || parsed === null) throw new Error(`not numbers: ${line}`);
  return Object.fromEntries(
    Object.entries(parsed).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
}
