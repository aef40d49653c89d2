import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Peer } from './peer.ts';
import { treeOf } from './process-tree.ts';

/** A proxy that does not listen after this long has failed to start. */
const START_MS_MAX = 20_000;
/** After SIGTERM; then it is killed. */
const STOP_MS_MAX = 3_000;

/** A running peer with its own folder and port, independent of daemons of the system. */
export interface Instance extends AsyncDisposable {
  readonly peer: Peer;
  readonly pid: number;
  readonly port: number;
}

/** Folders of running instances, by process id. */
const running = new Map<number, string>();

/** When this process exits, for any reason, its instances and their folders are removed. */
function endInstancesOnExit(): void {
  process.once('exit', () => {
    for (const [pid, folder] of running) {
      for (const one of treeOf(pid)) signal(one, 'SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  });
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(1));
}
let endsInstances = false;

export async function startInstance(peer: Peer): Promise<Instance> {
  if (!endsInstances) endInstancesOnExit();
  endsInstances = true;
  const folder = mkdtempSync(join(tmpdir(), `bench-${peer.name}-`));
  // A daemon that was started by root drops its privileges, and must still read its configuration and write its log.
  chmodSync(folder, 0o755);
  const own = join(folder, 'own');
  mkdirSync(own);
  chmodSync(own, 0o777);
  const port = await freePort();
  const launch = peer.prepare({ folder: own, port });
  const output = openSync(join(folder, 'output'), 'a');
  const child = spawn(launch.command, launch.args, {
    cwd: own,
    stdio: ['ignore', output, output],
    env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, HOME: own, ...launch.env },
  });
  closeSync(output);
  const pid = child.pid ?? 0;
  if (pid > 0) running.set(pid, folder);
  const end = async () => {
    await stop(child);
    running.delete(pid);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await Promise.race([waitForListening(port), waitForExit(child, join(folder, 'output'))]);
  } catch (error) {
    await end();
    throw new Error(`${peer.name}: ${error instanceof Error ? error.message : error}`);
  }
  return { peer, pid, port, [Symbol.asyncDispose]: end };
}

async function waitForListening(port: number): Promise<void> {
  const until = performance.now() + START_MS_MAX;
  while (!(await accepts(port))) {
    if (performance.now() > until) throw new Error(`does not listen after ${START_MS_MAX / 1000} s`);
    await sleep(50);
  }
}

async function waitForExit(child: ChildProcess, output: string): Promise<never> {
  await Promise.race([once(child, 'exit'), once(child, 'error')]);
  throw new Error(`exited at once: ${readFileSync(output, 'utf8').trim().split('\n').slice(-3).join(' · ')}`);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  const tree = treeOf(child.pid);
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
  await gone;
  clearTimeout(timer);
  // Children of a parent that was killed go on running.
  for (const pid of tree) if (pid !== child.pid) signal(pid, 'SIGKILL');
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has exited already.
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, '127.0.0.1');
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}
