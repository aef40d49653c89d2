import type { ServiceAction } from './service-actions.ts';

/** What is installed: the words that start the proxy, and folders of the user. */
export interface ServiceTarget {
  /** The program and its words, absolute paths first. */
  readonly program: readonly [string, ...string[]];
  readonly home: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  readonly user: string;
  /** Addresses that the service manager can keep open for it, as `HOST:PORT`. */
  readonly addresses: readonly string[];
  /** Where a system without a journal leaves what the proxy prints. */
  readonly logFile: string;
}

export interface ServiceFile {
  readonly path: string;
  readonly text: string;
  readonly encoding: 'utf8' | 'utf16le';
}

/** One command of the system. A failure of an optional one changes nothing: what it ends may not run. */
export interface SystemCommand {
  readonly words: readonly [string, ...string[]];
  readonly need: 'required' | 'optional';
}

/** What one action does: files first, then commands; or commands first where files go. */
export interface ServicePlan {
  readonly files: readonly ServiceFile[];
  readonly removed: readonly string[];
  readonly commands: readonly SystemCommand[];
  /** For the person, when it is done. */
  readonly notes: readonly string[];
}

/** How one operating system runs programs for a user. Pure: what it gives is printed by `--dry-run`, or carried out. */
export interface ServiceSystem {
  readonly name: string;
  plan(action: ServiceAction, target: ServiceTarget): ServicePlan;
}

export const required = (...words: [string, ...string[]]): SystemCommand => ({ words, need: 'required' });
export const optional = (...words: [string, ...string[]]): SystemCommand => ({ words, need: 'optional' });

/** How many lines `viaduct service logs` prints. */
export const LOG_LINES = 200;
