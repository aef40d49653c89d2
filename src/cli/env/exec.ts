import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { redact } from '../../util/redact.ts';
import { answers } from '../answers.ts';
import type { Call } from '../command.ts';
import { meantProxy } from '../meant-proxy.ts';
import { logLine } from '../print.ts';
import { startedCommand } from './started-command.ts';
import { javaVariable, proxyVariables } from './variables.ts';

/** As shells have it. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;
const SIGNAL_BASE = 128;

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such command',
  EACCES: 'it is no program, or you may not run it',
  ENOEXEC: 'it is no program for this machine',
};

/** SIGUSR1 would start the debugger of Node otherwise. */
const SIGNALS = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;
const SIGNALS_OF_KEYS = ['SIGINT', 'SIGQUIT'] as const;

const isAtTerminal = (): boolean => [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);

/** `viaduct exec -- COMMAND`: one command with the variables of the proxy; gives its exit code. */
export async function run(call: Call): Promise<number> {
  const proxy = await meantProxy(call, process.env);
  if (proxy.instance === undefined && !(await answers(proxy)))
    logLine(
      `viaduct: nothing answers at ${redact(proxy.url)}; start it with viaduct run, or name another with --through`,
    );
  const added = [...proxyVariables(proxy, process.env), javaVariable(proxy, process.env)];
  const environment = { ...process.env, ...Object.fromEntries(added.map(({ name, value }) => [name, value])) };
  const [program = '', ...words] = call.operands;
  return new Promise((resolve) => {
    const {
      program: file,
      words: list,
      windowsVerbatimArguments = false,
    } = startedCommand(program, words, environment);
    const child = spawn(file, list, {
      env: environment,
      stdio: 'inherit',
      windowsHide: false,
      windowsVerbatimArguments,
    });
    const passOn = (signal: NodeJS.Signals) => child.kill(signal);
    for (const signal of SIGNALS) process.on(signal, passOn);
    // A terminal signals the command as well, which decides what it does about it; others signal this process alone.
    const atKeys = isAtTerminal() ? () => undefined : passOn;
    for (const signal of SIGNALS_OF_KEYS) process.on(signal, atKeys);
    child.on('error', (error: NodeJS.ErrnoException) => {
      const isMissing = error.code === 'ENOENT';
      logLine(`viaduct: cannot start ${program}: ${WHY[error.code ?? ''] ?? error.message}`);
      resolve(isMissing ? NOT_FOUND : NOT_EXECUTABLE);
    });
    child.on('close', (code, signal) =>
      resolve(code ?? SIGNAL_BASE + (signal === null ? 0 : constants.signals[signal])),
    );
  });
}
