/**
 * `npm start`: builds when the build is missing or stale, then becomes the command. Running it inside this process,
 * not as a child, leaves no process of ours between the terminal and the proxy: signals, exit code and prompts are its own.
 */
import { build, isStale } from './build.ts';
import { ROOT } from './tools.ts';

/** How soon a proxy that npm has left behind notices it. */
const ORPHAN_MS = 250;

/**
 * npm passes SIGTERM to the shell between it and this process; the shell ends and passes nothing on. A user who stops npm
 * means the proxy, so losing the parent counts as the signal, unless the signal itself came as well (Ctrl-C reaches all).
 */
function stopWithNpm(): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, ORPHAN_MS).unref();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => clearInterval(timer));
}

const failed = isStale() ? build() : 0;
if (failed === 0) {
  if (process.env.npm_lifecycle_event !== undefined) stopWithNpm();
  await import(`${ROOT}dist/cli.js`);
} else process.exitCode = failed;
