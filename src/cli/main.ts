import { version } from '../files/version.ts';
import { ignoredEnvironment } from '../upstream/tls/ignored-environment.ts';
import { COMMANDS } from './commands.ts';
import { helpText } from './help.ts';
import { parse } from './parse.ts';
import { logLine, out, reportFailure } from './print.ts';
import { poolThreads } from './run/pool-threads.ts';

// Node asks the system's resolver on libuv's pool of 4 threads, and on no more than half of them: two names that hang
// would stall every other. The pool reads this once, when it is first used, so it is set before anything else happens;
// workers inherit it. On Windows the C library does not see what is set here, and a number that has no effect must not
// be set: the shares of the threads (upstream/dial/lookup-shares.ts) follow from it.
if (process.platform !== 'win32') process.env.UV_THREADPOOL_SIZE ??= String(poolThreads());

// The reader of our output may stop reading (`| head`); that is not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
process.stderr.on('error', () => {});

const words = process.argv.slice(2);
/** First word of the command line with which the primary starts a worker; not a command for people. */
const WORKER = 'worker';

async function main(): Promise<number> {
  if (words[0] === WORKER && process.send !== undefined) {
    // Terminals and service managers signal every process of a group; a worker obeys the messages of the primary alone.
    // Without a listener SIGUSR2 would end it.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']) process.on(signal, () => {});
    const { runWorker } = await import('./run/run-worker.ts');
    return runWorker();
  }
  const parsed = parse(words);
  if (parsed.do === 'version') {
    out(`viaduct ${version()}`);
    return 0;
  }
  if (parsed.do === 'help') {
    out(helpText(parsed.about));
    return 0;
  }
  for (const notice of [...parsed.notices, ...ignoredEnvironment(process.env)]) logLine(`viaduct: ${notice}`);
  // Node would warn at the first TLS connection that nothing is verified. Workers inherit what is left.
  delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  const { run } = await parsed.command.load();
  return run(parsed.call, COMMANDS);
}

/** A reader of our output that has stopped reading does not keep the process from ending for longer than this. */
const OUTPUT_MS = 1000;

/** Ends the process even if something is still open: a command that is done is done. Output is written first. */
function exit(code: number): void {
  setTimeout(() => process.exit(code), OUTPUT_MS);
  process.stdout.write('', () => process.exit(code));
}

/** Read here, since the failure may be that of the command line or of the configuration. */
function isVerbose(): boolean {
  const isSet = /^(?:1|true|yes|on)$/i.test(process.env.VIADUCT_VERBOSE ?? '');
  return isSet || words.includes('-v') || words.includes('--verbose');
}

main().then(exit, (error: unknown) => {
  exit(reportFailure(error, isVerbose() ? 'stack' : 'message'));
});
