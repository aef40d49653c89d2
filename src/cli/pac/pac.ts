import { createPacEngine } from '../../pac/engine/engine.ts';
import { scriptUrl } from '../../pac/script-url.ts';
import { withScheme } from '../../protocol/addresses/typed-url.ts';
import { cachingResolver } from '../../upstream/dial/resolver.ts';
import { systemClock } from '../../util/clock.ts';
import { quoted, redact, redactorOf } from '../../util/redact.ts';
import type { Call } from '../command.ts';
import { logLine, out, UsageError } from '../print.ts';
import { printable, resultLines } from './print.ts';
import { readScript } from './read-script.ts';
import { worldOf } from './world.ts';

/** `viaduct pac FILE_OR_URL URL…`: what a PAC file gives, and how it comes to that. 1 when it fails for one of them. */
export async function run(call: Call): Promise<number> {
  const [from = '', ...urls] = call.operands;
  for (const url of urls)
    if (!isQueryable(url))
      throw new UsageError(`${quoted(url)} is not a valid URL; write for example https://example.com/`);
  const world = worldOf(call);
  const { wallMs, zone, localAddresses } = world;
  // Its thread ends with the process: waiting for it would be the longest part of a short command.
  const engine = createPacEngine({
    clock: wallMs === undefined ? systemClock : { ...systemClock, wallMs: () => wallMs },
    zone,
    resolve: world.resolve ?? cachingResolver(systemClock).resolve,
    localAddresses,
  });
  // The thread starts while the script is read.
  const [script] = await Promise.all([readScript(from), engine.start()]);
  const results: unknown[] = [];
  const hidden: ((line: string) => string)[] = [];
  let code = 0;
  for (const text of urls) {
    const { url, host } = scriptUrl(withScheme(text, 'https'));
    const query = { url, host: world.host ?? host };
    const { signal } = new AbortController();
    const evaluation = await engine.evaluate(script, { ...query, signal, trace: 'calls' });
    if (!evaluation.ok) code = 1;
    const { calls } = evaluation;
    const hide = redactorOf(url);
    results.push({
      url: text,
      answer: evaluation.ok ? evaluation.result : null,
      error: evaluation.ok ? null : evaluation.failure,
      calls,
    });
    // Programs get the URL as they wrote it, unless it may hold a password.
    const [place = ''] = text.split(/[?#]/);
    if (redact(place) !== place) hidden.push(redactorOf(text), hide);
    if (call.options.has('json')) continue;
    if (!call.options.has('quiet')) for (const line of resultLines(query, evaluation)) out(hide(line));
    // One line for each URL, an empty one where there is no result: a program counts on their order.
    else out(evaluation.ok ? printable(evaluation.result) : '');
    if (call.options.has('quiet') && !evaluation.ok)
      logLine(`viaduct: ${hide(`${query.url}: ${printable(evaluation.failure)}`)}`);
  }
  if (call.options.has('json')) out(hidden.reduce((line, hide) => hide(line), JSON.stringify(results)));
  return code;
}

/** With a scheme it may be any text, as in a browser; without one it must begin with a host. */
function isQueryable(text: string): boolean {
  if (/^(?:[a-z][a-z0-9+.-]*:)?\/\//i.test(text)) return true;
  return text !== '' && !/\s/.test(text) && URL.canParse(withScheme(text, 'https'));
}
