import type { PacLocation } from '../discovery/locate.ts';

/** The notice when a script comes into use. */
export function inUseNotice({ shown, foundBy, namedBy }: PacLocation): ['info' | 'warn', string] {
  if (foundBy === undefined) return ['info', `PAC ${shown}: in use`];
  if (namedBy === 'pac') return ['info', `PAC ${shown}: in use, named by ${foundBy}`];
  const caution =
    'any machine on this network could have named it, so its proxies get no credentials unless they are listed';
  return ['warn', `PAC ${shown}: in use, found by ${foundBy}: ${caution} in --credentials-for`];
}
