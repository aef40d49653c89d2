import type { MeantProxy } from '../meant-proxy.ts';
import type { Format, Key } from './formats/format.ts';
import type { Machine } from './machine.ts';

/** What tools are pointed at. */
export interface Wanted {
  readonly proxy: Pick<MeantProxy, 'url' | 'host' | 'port'>;
  /** Of the script that the proxy serves; `undefined`: it serves none, or none is wanted. */
  readonly pacUrl: string | undefined;
  /** A file of root certificates that takes the place of a tool's own. */
  readonly caFile: string | undefined;
  /** How the command that runs is called, for files that call it. */
  readonly command: readonly string[];
  /** The address by which containers reach the proxy; `undefined`: it listens on none. */
  readonly containerUrl: string | undefined;
}

/** One thing that setup writes. */
export type Setting =
  /** In a file. `value` is the text as the file has it. */
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly format: Format;
      readonly key: Key;
      readonly value: string;
      /** `keep`: what the user has there stays. Default: `replace`. */
      readonly existing?: 'keep' | 'replace';
    }
  /** By a program, since there is no file to edit. */
  | {
      readonly kind: 'program';
      /** Written down in the journal. */
      readonly program: SettingProgram;
      readonly key: Key;
      readonly value: string;
    };

/** A program that reads and changes settings. */
export interface SettingProgram {
  readonly name: string;
  readWords(key: Key): readonly string[];
  /** The value in what `readWords` prints; `undefined`: it is not set. */
  parse(printed: string, key: Key): string | undefined;
  writeWords(key: Key, value: string): readonly string[];
  removeWords(key: Key): readonly string[];
}

/** A program that uses a proxy, or several with one configuration. */
export interface Tool {
  readonly name: string;
  readonly title: string;
  /** `system`: its files belong to the system, and are changed with `--scope system` alone. */
  readonly scope: 'user' | 'system';
  /** `named`: it is set up only when a person names it, since more follows from it than a proxy for one tool. */
  readonly when: 'found' | 'named';
  /** Whether its setting can be a PAC. */
  readonly takesPac: boolean;
  /** Whether it is on this machine. */
  isFound(machine: Machine): boolean;
  settings(machine: Machine, wanted: Wanted): readonly Setting[] | Promise<readonly Setting[]>;
  /** Why nothing may be written now: a sentence. */
  blocked?(machine: Machine, wanted: Wanted): string | undefined;
  /** A program that must run afterwards. It is printed, and run with `--yes`. */
  readonly after?: readonly string[];
  /** One line that a person who sets it up should read. */
  readonly advice?: string;
  /** One real request of the tool: to a URL where it takes one, else to its usual server. Absent: it cannot without changing something. */
  probe?(url: string): readonly string[];
  /** For docs/SETUP.md. */
  readonly page: ToolPage;
}

export interface ToolPage {
  readonly place: string;
  readonly value: string;
  readonly trap: string;
  /** The address of its documentation. */
  readonly source: string;
  readonly proof: Proof;
}

/**
 * `tried`: a test sets it up, works with it and undoes it; `tried at length`: one of the long tests does. `read`: a test has the tool's
 * own parser read what is written. `undone under Wine`: a test sets it up and undoes it there. `compared`: what is written is compared
 * with the tool's documentation.
 */
export type Proof = 'tried' | 'tried at length' | 'read' | 'undone under Wine' | 'compared';
