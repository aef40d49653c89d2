import { suggestion } from '../../config/nearest.ts';
import { redact } from '../../util/redact.ts';
import type { Call } from '../command.ts';
import { meantProxy } from '../meant-proxy.ts';
import { out, UsageError } from '../print.ts';
import { ENV_SHELLS, type EnvShell, envShell } from './shells.ts';
import { proxyVariables } from './variables.ts';

/** `viaduct env`: the variables by which programs use the proxy, as commands of a shell. */
export async function run(call: Call): Promise<number> {
  const shell = wantedShell(call.options.get('shell')?.at(-1));
  const proxy = await meantProxy(call, process.env);
  for (const variable of proxyVariables(proxy, process.env)) out(ENV_SHELLS[shell](variable));
  return 0;
}

function wantedShell(named: string | undefined): EnvShell {
  if (named === undefined) return envShell(process.env.SHELL ?? '') ?? (process.platform === 'win32' ? 'pwsh' : 'sh');
  const shell = envShell(named);
  if (shell !== undefined) return shell;
  const names = Object.keys(ENV_SHELLS);
  throw new UsageError(`--shell: ${redact(named)} is unknown${suggestion(named, names)}; write ${names.join(', ')}`);
}
