import { installGlob } from '../functions/glob.ts';
import { installLocalDate } from '../functions/local-date.ts';
import { installNames } from '../functions/names.ts';
import { installNetwork } from '../functions/network.ts';
import { installTime } from '../functions/time.ts';
import { makeTools } from '../functions/tools.ts';

/**
 * The text that a sandbox evaluates before the script: an expression for a function that takes the `HostFunctions` and
 * returns the `SandboxExports`. Functions are passed as their source text, which is plain JavaScript here, whether Node
 * stripped the types or a compiler did.
 */
export function preludeText(): string {
  const helpers = [installNames, installGlob, installNetwork, installTime];
  return `(function (host) {
  (${installLocalDate})();
  const tools = (${makeTools})(host);
  for (const install of [${helpers.join(',\n')}]) install(tools);
  return tools;
})`;
}
