import { ConfigError } from '../config/problems.ts';

/** A command line that means nothing. The message says how to mend it; the exit code is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A line of results. Only what was asked for goes to standard output. */
export function out(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A line for the person at the terminal. */
export function logLine(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Says what went wrong, one line for each mistake, and gives the exit code. */
export function reportFailure(error: unknown, detail: 'message' | 'stack'): number {
  if (error instanceof ConfigError) {
    // A line that begins with file and line number is left so, since editors jump to it.
    for (const line of error.lines) logLine(/^[^\s:]+:\d+: /.test(line) ? line : `viaduct: ${line}`);
    return 2;
  }
  logLine(`viaduct: ${sentenceOf(error)}`);
  if (detail === 'stack' && error instanceof Error && error.stack !== undefined) logLine(error.stack);
  return isUsage(error) ? 2 : 1;
}

/** What to do about an address that the system refuses. */
const LISTENING: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there; choose a port with --port, or --port 0 for a free one',
  EACCES: 'this user may not; ports below 1024 need a privileged one, and a socket needs a folder that it may write',
  EADDRNOTAVAIL: 'this machine has no such address; write one of its own, or localhost',
  ENODEV: 'there is no such bridge now; start what makes it, or listen on localhost too',
  ENOTFOUND: 'that name has no address; write an address, or localhost',
  EAI_AGAIN: 'that name cannot be resolved now; write an address, or localhost',
  ENOENT: 'there is no such folder',
};

function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = isListening(error) && 'code' in error ? String(error.code) : '';
  const mend = LISTENING[code];
  return mend === undefined ? error.message : error.message.replace(code, mend);
}

/** By name, since the class comes with the whole proxy, which most commands do not load. */
const isListening = (error: unknown): boolean => error instanceof Error && error.name === 'ListenError';

const isLogFile = (error: unknown): boolean => error instanceof Error && error.name === 'LogFileError';

/** An address or a file that cannot be used is a mistake of the person who named it, as a wrong flag is. */
const isUsage = (error: unknown): boolean => error instanceof UsageError || isListening(error) || isLogFile(error);
