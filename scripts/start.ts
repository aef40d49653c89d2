/**
 * `npm start`: builds when the build is missing or stale, then becomes the command. Running it inside this process,
 * not as a child, leaves nobody between the terminal and the proxy: signals, exit code and prompts are the proxy's own.
 */
import { build, isStale } from './build.ts';
import { ROOT } from './tools.ts';

const failed = isStale() ? build() : 0;
if (failed === 0) await import(`${ROOT}dist/cli.js`);
else process.exitCode = failed;
