/**
 * `node bench/start-time.ts [RUNS]`: how long `viaduct --version` and a start until it listens take, as medians of paired runs
 * beside `node -e 0`; CPU and clock. Both have run before, so that compiled code is in the cache.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtCommand } from '../test/support/cli.ts';

const runs = Number(process.argv[2] ?? 20);
/** 5 s after its start the command keeps the settings that it has checked and, with the next start, what was compiled. */
const WARM_MS = 7000;
const WARM_STARTS = 2;
const home = mkdtempSync(join(tmpdir(), 'viaduct-start-'));
const SERVE = [builtCommand(), '--port', '0', '--admin', 'localhost:0'];

/** Milliseconds until the program ends or, where it serves, until it says so; it then runs on for `onMs`. */
async function msOf(words: readonly string[], onMs = 0): Promise<number> {
  const startedMs = performance.now();
  const env = { PATH: process.env.PATH, HOME: home, XDG_CONFIG_HOME: home };
  const child = spawn(process.execPath, words, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'close');
  const first = await Promise.race([once(child.stderr, 'data'), ended]);
  const ms = performance.now() - startedMs;
  if (String(first[0]).startsWith('listening on ')) {
    await new Promise((resolve) => setTimeout(resolve, onMs));
    child.kill('SIGTERM');
  }
  await ended;
  return ms;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

try {
  for (let start = 0; start < WARM_STARTS; start++) await msOf(SERVE, WARM_MS);
  const ratios: Record<'version' | 'listening', number[]> = { version: [], listening: [] };
  const nodeMs: number[] = [];
  for (let run = 0; run < runs; run++) {
    for (const [name, words] of [
      ['version', [builtCommand(), '--version']],
      ['listening', SERVE],
    ] as const) {
      const bare = await msOf(['-e', '0']);
      nodeMs.push(bare);
      ratios[name].push((await msOf(words)) / bare);
    }
  }
  process.stdout.write(
    `node -e 0: ${median(nodeMs).toFixed(1)} ms; --version: ${median(ratios.version).toFixed(2)} x; listening: ${median(ratios.listening).toFixed(2)} x (medians of ${runs} paired runs)\n`,
  );
} finally {
  rmSync(home, { recursive: true, force: true });
}
