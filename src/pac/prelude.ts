import { installGlob } from './functions/glob.ts';
import { installLocalDate } from './functions/local-date.ts';
import { installNames } from './functions/names.ts';
import { installNetwork } from './functions/network.ts';
import { installTime } from './functions/time.ts';
import { makeTools } from './functions/tools.ts';

/**
 * What runs in a sandbox before the script does: an expression for a function that takes what the host lends (`Lent`)
 * and gives what the host calls (`Inside`). Functions travel as their source text, which is plain JavaScript by now,
 * whether Node stripped the types or a compiler did.
 */
export function preludeText(): string {
  const helpers = [installNames, installGlob, installNetwork, installTime];
  return `(function (lent) {
  (${installLocalDate})();
  const tools = (${makeTools})(lent);
  for (const install of [${helpers.join(',\n')}]) install(tools);
  return tools;
})`;
}
