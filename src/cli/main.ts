import { helpText } from './help.ts';
import { parse } from './parse.ts';
import { out, reportFailure, tell } from './print.ts';
import { version } from './version.ts';

// Node asks the system's resolver on libuv's pool of 4 threads, where files and hashes wait too: four slow names would
// stall every other. The pool reads this once, when it is first used, so it is set before anything else happens.
process.env.UV_THREADPOOL_SIZE ??= '16';

// Whoever reads our output may stop reading (`| head`); that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
process.stderr.on('error', () => {});

const words = process.argv.slice(2);
/** First word of a command line that is no command for people: the primary of several processes starts them so. */
const WORKER = 'worker';

async function main(): Promise<number> {
  if (words[0] === WORKER && process.send !== undefined) {
    // Terminals and service managers signal every process of a group; what is to be done, the primary says.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
    const { runWorker } = await import('./run-worker.ts');
    return runWorker();
  }
  const asked = parse(words);
  if (asked.do === 'version') {
    out(`viaduct ${version()}`);
    return 0;
  }
  if (asked.do === 'help') {
    out(helpText(asked.about));
    return 0;
  }
  for (const notice of asked.notices) tell(`viaduct: ${notice}`);
  const { run } = await asked.command.load();
  return run(asked.call);
}

/** A reader of our output that has stopped reading does not keep the process from ending for longer than this. */
const OUTPUT_MS = 1000;

/** Ends the process even if something is still open: a command that is done is done. Output is written first. */
function exit(code: number): void {
  setTimeout(() => process.exit(code), OUTPUT_MS);
  process.stdout.write('', () => process.exit(code));
}

main().then(exit, (error: unknown) => {
  const isVerbose = words.includes('-v') || words.includes('--verbose');
  exit(reportFailure(error, isVerbose ? 'stack' : 'message'));
});
