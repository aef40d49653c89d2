import { systemClock } from '../core/clock.ts';
import { createPacEngine } from '../pac/engine.ts';
import { scriptUrl } from '../pac/script-url.ts';
import { cachingResolver } from '../upstream/resolver.ts';
import type { Call } from './commands.ts';
import { answerLines } from './pac/print.ts';
import { readScript } from './pac/read-script.ts';
import { worldOf } from './pac/world.ts';
import { out, UsageError } from './print.ts';

/** `viaduct pac FILE_OR_URL URL…`: what a PAC file answers, and how it comes to that. 1 when it fails for one of them. */
export async function run(call: Call): Promise<number> {
  const [from = '', ...urls] = call.operands;
  for (const url of urls)
    if (!/^(?:[a-z][a-z0-9+.-]*:)?\/\//i.test(url))
      throw new UsageError(`${JSON.stringify(url)} is no URL; write for example https://example.com/`);
  const world = worldOf(call);
  const { wallMs, zone, ownAddresses } = world;
  // Its thread ends with the process: waiting for it would be the longest part of a short command.
  const engine = createPacEngine({
    clock: wallMs === undefined ? systemClock : { ...systemClock, wallMs: () => wallMs },
    zone,
    resolve: world.resolve ?? cachingResolver(systemClock).resolve,
    ownAddresses,
  });
  // The thread starts while the script is read.
  const [script] = await Promise.all([readScript(from), engine.start()]);
  const told: unknown[] = [];
  let code = 0;
  for (const text of urls) {
    const { url, host } = scriptUrl(text);
    const asked = { url, host: world.host ?? host };
    const { signal } = new AbortController();
    const answer = await engine.evaluate(script, { ...asked, signal, trace: 'calls' });
    if (!answer.ok) code = 1;
    const { calls } = answer;
    told.push({ url: text, answer: answer.ok ? answer.answer : null, error: answer.ok ? null : answer.trouble, calls });
    if (!call.options.has('json')) for (const line of answerLines(asked, answer)) out(line);
  }
  if (call.options.has('json')) out(JSON.stringify(told));
  return code;
}
