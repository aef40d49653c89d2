import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { ROOT } from './tools.ts';

/** How long the runner has to end by itself once the processes of its files were killed. */
const END_MS = 60_000;

/**
 * Runs the test runner, and kills the test files that hold it up: node:test reports files in order and waits for each process
 * without a bound, so that one file in an endless loop, or in a call that blocks, is silence until CI kills everything. Resolves
 * with the exit code.
 */
export function runWatched(
  command: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv; readonly silenceMsMax: number },
): Promise<number> {
  const { cwd, env, silenceMsMax } = options;
  const colours = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {};
  const child = spawn(command, args, { cwd, env: { ...env, ...colours }, stdio: ['inherit', 'pipe', 'inherit'] });
  let silence = setTimeout(() => killFilesOf(child), silenceMsMax);
  child.stdout.on('data', (bytes: Buffer) => {
    process.stdout.write(bytes);
    clearTimeout(silence);
    silence = setTimeout(() => killFilesOf(child), silenceMsMax);
  });
  return new Promise((resolve) => {
    child.once('error', (error) => process.stderr.write(`${command}: ${error.message}\n`));
    child.once('close', (code) => {
      clearTimeout(silence);
      resolve(code ?? 1);
    });
  });
}

function killFilesOf(runner: ChildProcess): void {
  const listed = spawnSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { cwd: ROOT, encoding: 'utf8', timeout: END_MS });
  for (const line of (listed.stdout ?? '').split('\n')) {
    const [pid, parent, ...words] = line.trim().split(/\s+/);
    if (Number(parent) !== runner.pid) continue;
    process.stderr.write(`nothing was reported for long; killed: ${words.at(-1)} (process ${pid})\n`);
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It has just ended.
    }
  }
  // A process that a file left behind may hold the output that the runner reads.
  setTimeout(() => runner.kill('SIGINT'), END_MS).unref();
}
