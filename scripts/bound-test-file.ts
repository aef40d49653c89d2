/**
 * Loaded by scripts/test.ts before each test file. `--test-timeout` bounds a test, and nothing of node:test bounds the process
 * of a file: one socket, timer or child that a test left open would hold the whole run until CI kills it.
 */
import { enableCompileCache } from 'node:module';
import { isMainThread } from 'node:worker_threads';
import { ROOT } from './tools.ts';

/** How long the process of a file may go on when its tests are over: a child that was sent a signal takes its time. */
const EXIT_MS_MAX = 30_000;

// Processes and threads that a test starts inherit the options of Node.
const isTestFile = isMainThread && /\.test\.[jt]s$/.test(process.argv[1] ?? '');

if (isTestFile) {
  // Most files load the whole proxy. To strip its types and compile it takes a second of CPU each time, and half without that.
  enableCompileCache(`${ROOT}.cache/compile`);
  const { after } = await import('node:test');
  after(() => {
    setTimeout(() => {
      const held = process.getActiveResourcesInfo().join(', ');
      process.stderr.write(`${process.argv[1]}: its tests are over, and it does not exit; open: ${held}\n`);
      process.exit(1);
    }, EXIT_MS_MAX).unref();
  });
}
