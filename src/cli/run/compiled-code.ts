/**
 * What `dist/start.js` gives to the command that it runs: where the code is that V8 has compiled of it, and more of it as time goes
 * on. From the sources there is none.
 */
export interface CompiledCode {
  /** Of this build and of this user; also for other files that are no use to another build. */
  readonly folder: string;
  /** What was written as `sealedFor` has it: whole, of this user, and as it was. */
  read(path: string): Buffer | undefined;
  /** When to keep what is compiled for the next start, after this one. */
  readonly keepAfterMs: number;
  /** Those that were loaded by now. */
  readonly scripts: readonly CompiledScript[];
}

/** The command, or the packages that it seldom needs. */
interface CompiledScript {
  readonly file: string;
  /** It was loaded with what was compiled of it before. */
  readonly isKnown: boolean;
  /** All that is compiled by now. */
  bytes(): Buffer;
}

/** A parameter of the function that the command is in (scripts/build.ts). */
declare const viaductCompiled: CompiledCode | undefined;

export const compiledCode = (): CompiledCode | undefined =>
  typeof viaductCompiled === 'undefined' ? undefined : viaductCompiled;
