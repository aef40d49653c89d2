import { isNoProxyEntry, splitNoProxy } from '../protocol/matching/no-proxy.ts';
import { quoted } from '../util/redact.ts';
import { FLAGS, type FlagValue, variableOf } from './flags.ts';
import { nearest } from './nearest.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Every flag has a variable; an empty variable counts as absent, since shells cannot always unset one. */
export function flagsFromEnvironment(environment: Environment): FlagValue[] {
  return FLAGS.flatMap((flag) => {
    const label = variableOf(flag);
    const text = environment[label];
    return text === undefined || text === '' ? [] : [{ flag, text, label }];
  });
}

/** What `NO_PROXY` means here. */
export interface NoProxyExceptions {
  /** The variable that they come from. */
  readonly label: string;
  readonly entries: readonly string[];
  /** One line for each invalid entry: the variable is written for many programs, so a mistake in it must not stop this one. */
  readonly notices: readonly string[];
}

/** As curl reads it: in small letters first, and an empty variable counts as absent. */
export function noProxyExceptions(environment: Environment): NoProxyExceptions | undefined {
  const label = ['no_proxy', 'NO_PROXY'].find((name) => environment[name]?.trim());
  if (label === undefined) return undefined;
  const [entries, wrong]: [string[], string[]] = [[], []];
  for (const entry of splitNoProxy(environment[label] ?? '')) (isNoProxyEntry(entry) ? entries : wrong).push(entry);
  return {
    label,
    entries,
    notices: wrong.map((entry) => `${label}: ${quoted(entry)} is not a valid host; it is left out`),
  };
}

/**
 * Variables that look like a typo: VIADUCT_ALOW, silently ignored, would leave a proxy open.
 * Other names are left alone, since a configuration may refer to variables of the user's own.
 */
export function suspiciousVariables(environment: Environment): string[] {
  const known = FLAGS.map(variableOf);
  return Object.keys(environment).flatMap((name) => {
    if (!name.startsWith('VIADUCT_') || known.includes(name)) return [];
    const meant = nearest(
      name.slice('VIADUCT_'.length),
      known.map((one) => one.slice('VIADUCT_'.length)),
    );
    return meant === undefined ? [] : [`${name} is not read by viaduct; did you mean VIADUCT_${meant}?`];
  });
}
