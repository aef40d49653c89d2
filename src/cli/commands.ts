import type { Given } from '../config/sources.ts';
import { explainCommand } from './explain/command.ts';
import { pacCommand } from './pac/command.ts';

/** A flag that one command alone has. */
export interface CommandFlag {
  readonly name: string;
  readonly short?: string;
  /** Absent: the flag takes no value. */
  readonly argument?: string;
  readonly summary: string;
}

/** A command line, taken apart. */
export interface Call {
  /** Words that are no flags, in order. */
  readonly operands: readonly string[];
  /** Flags that set what a configuration file could set. */
  readonly settings: readonly Given[];
  /** The command's own flags: each value that was given, `''` for a flag without one. */
  readonly options: ReadonlyMap<string, readonly string[]>;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** What follows the name: `[FILE]` may be left out, `URL` may not. */
  readonly operands: readonly string[];
  /** Whether it takes the flags of `run`, and with them the configuration. */
  readonly takes: 'settings' | 'own flags only';
  readonly flags?: readonly CommandFlag[];
  /** Words for its first operand, for shells to complete. */
  readonly completes?: readonly string[] | 'file';
  /** Loaded when it is called, so that each command pays for itself only. Gives the exit code. */
  load(): Promise<{ run(call: Call): Promise<number> }>;
}

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** In the order in which `--help` lists them; the first is what `viaduct` alone means. */
export const COMMANDS: readonly [Command, ...Command[]] = [
  {
    name: 'run',
    summary: 'run the proxy; what `viaduct` alone does',
    operands: [],
    takes: 'settings',
    flags: [{ name: 'hash', short: 'H', summary: 'print NTLM_CREDENTIALS for --user and --domain, and exit' }],
    load: () => import('./run.ts'),
  },
  {
    name: 'check',
    summary: 'validate the configuration; print every setting and where it came from',
    operands: ['[FILE]'],
    takes: 'settings',
    completes: 'file',
    load: () => import('./check.ts'),
  },
  explainCommand,
  {
    name: 'why',
    summary: 'say what would be decided about a URL, and why, without sending anything',
    operands: ['URL'],
    takes: 'settings',
    flags: [
      { name: 'as', argument: 'USER', summary: 'the user who would ask, with the password taken for right' },
      { name: 'from', argument: 'IP', summary: 'the address that the client would have; default 127.0.0.1' },
      { name: 'json', summary: 'print one JSON object' },
    ],
    load: () => import('./why.ts'),
  },
  pacCommand,
  {
    name: 'hash',
    summary: 'print what may stand for a password: NTLM_CREDENTIALS, and the lines of cntlm',
    operands: [],
    takes: 'own flags only',
    flags: [
      { name: 'domain', short: 'd', argument: 'D', summary: "domain of the account; '' for none" },
      { name: 'user', short: 'u', argument: 'U', summary: 'user of the account; default: the login name' },
    ],
    load: () => import('./hash.ts'),
  },
  {
    name: 'login',
    summary: 'store the password of an account at upstream proxies in the keyring',
    operands: ['[ACCOUNT_OR_PROXY]'],
    takes: 'settings',
    load: () => import('./login.ts'),
  },
  {
    name: 'logout',
    summary: 'remove it from there',
    operands: ['[ACCOUNT_OR_PROXY]'],
    takes: 'settings',
    load: () => import('./logout.ts'),
  },
  {
    name: 'import',
    summary: 'turn px.ini, cntlm.conf or a profile with the variables of alpaca into a viaduct.yaml',
    operands: ['FILE'],
    takes: 'own flags only',
    completes: 'file',
    load: () => import('./import.ts'),
  },
  {
    name: 'completion',
    summary: 'print the completion script of a shell',
    operands: ['SHELL'],
    takes: 'own flags only',
    completes: SHELLS,
    load: () => import('./completion.ts'),
  },
];
