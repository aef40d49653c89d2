import { FLAGS, type FlagValue } from '../config/flags.ts';

/** A flag of one command. */
export interface CommandFlag {
  readonly name: string;
  readonly short?: string;
  /** Absent: the flag takes no value. */
  readonly argument?: string;
  readonly summary: string;
}

/** A parsed command line. */
export interface Call {
  /** Words that are not flags, in order. */
  readonly operands: readonly string[];
  /** Flags that set what a configuration file could set. */
  readonly settings: readonly FlagValue[];
  /** The command's own flags: each value that was given, `''` for a flag without one. */
  readonly options: ReadonlyMap<string, readonly string[]>;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** What follows the name: `[FILE]` may be left out, `URL` may not. */
  readonly operands: readonly string[];
  /** `of another command`: from the first of them on, flags are that command's, as with env(1) and sudo(8). */
  readonly words?: 'of another command';
  /** Whether it takes the flags of `run`, and with them the configuration. */
  readonly takes: 'settings' | 'own flags only';
  readonly flags?: readonly CommandFlag[];
  /** Words for its first operand, for shells to complete. */
  readonly completes?: readonly string[] | 'file';
  /** Loaded when it is called: a short command does not load the proxy. Gives the exit code. */
  load(): Promise<CommandModule>;
}

/** The commands in the order in which `--help` lists them; the first is what `viaduct` alone means. */
export type CommandTable = readonly [Command, ...Command[]];

/** What the file of a command exports. */
interface CommandModule {
  /** Gives the exit code. `commands`: all of them, for the command that prints a script for shells. */
  run(call: Call, commands: CommandTable): Promise<number>;
}

/** Flags of a command in one list: its own, then those of `run` if it takes them. */
export function flagsOf(command: Command): readonly CommandFlag[] {
  return [...(command.flags ?? []), ...(command.takes === 'settings' ? FLAGS : [])];
}

/** The shells for which `viaduct completion` prints a script. */
export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;
