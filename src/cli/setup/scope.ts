import type { JournalFile } from './journal.ts';
import type { Machine } from './machine.ts';
import type { Tool } from './tool.ts';

/** What a call of setup works on. */
export interface SetupScope {
  readonly machine: Machine;
  readonly scope: Tool['scope'];
  readonly stateDir: string;
  readonly journal: JournalFile;
}
