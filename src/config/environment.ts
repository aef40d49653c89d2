import { isNoProxyEntry, splitNoProxy } from '../protocol/no-proxy.ts';
import { withoutLogin } from '../protocol/proxy-url.ts';
import { FLAGS, variableOf } from './flags.ts';
import { nearest } from './nearest.ts';
import type { Given } from './sources.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Every flag has a variable; an empty variable says nothing, since shells cannot always unset one. */
export function environmentSays(environment: Environment): Given[] {
  return FLAGS.flatMap((flag) => {
    const label = variableOf(flag);
    const text = environment[label];
    return text === undefined || text === '' ? [] : [{ flag, text, label }];
  });
}

/** What `NO_PROXY` means here. */
export interface Exceptions {
  /** The variable that said so. */
  readonly label: string;
  readonly entries: readonly string[];
  /** One line for each entry that is none: the variable is written for many programs, so it is no reason to refuse. */
  readonly notices: readonly string[];
}

/** As curl reads it: in small letters first, and an empty variable says nothing. */
export function exceptionsIn(environment: Environment): Exceptions | undefined {
  const label = ['no_proxy', 'NO_PROXY'].find((name) => environment[name]?.trim());
  if (label === undefined) return undefined;
  const [entries, wrong]: [string[], string[]] = [[], []];
  for (const entry of splitNoProxy(environment[label] ?? '')) (isNoProxyEntry(entry) ? entries : wrong).push(entry);
  return {
    label,
    entries,
    notices: wrong.map((entry) => `${label}: ${JSON.stringify(withoutLogin(entry))} is no host; it is left out`),
  };
}

/**
 * Variables that look like a slip of the pen: silence about VIADUCT_ALOW would leave a proxy open.
 * Other names are left alone, since a configuration may refer to variables of the user's own.
 */
export function doubtfulVariables(environment: Environment): string[] {
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
