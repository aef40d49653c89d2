import type { Instance } from '../admin/instances.ts';
import { stateFolder } from '../files/state-folder.ts';
import type { Call } from './command.ts';
import { logLine, out } from './print.ts';
import { askRunning, runningProxy, textIn, tokenIn } from './running-proxy.ts';

/** `viaduct token`: the token of the running proxy, a link for the browser, or another token. */
export async function run(call: Call): Promise<number> {
  const instance = await runningProxy(call, stateFolder(process.env), process.env);
  if (call.options.has('rotate')) {
    out(await asked(instance, 'POST', '/api/token', 'token'));
    return 0;
  }
  const text = call.options.has('link')
    ? await asked(instance, 'POST', '/api/link', 'url')
    : // Through the admin address it is not given away: there it stands in a file of this user alone.
      ((instance.control === undefined ? tokenIn(stateFolder(process.env)) : undefined) ??
      (await asked(instance, 'GET', '/api/token', 'token')));
  out(text);
  if (call.options.has('link')) logLine('viaduct: it works once, within 10 minutes');
  return 0;
}

async function asked(instance: Instance, method: string, path: string, name: string): Promise<string> {
  const text = textIn(await askRunning(instance, method, path), name);
  if (text === undefined) throw new Error('the proxy has answered something else; is it of another version?');
  return text;
}
