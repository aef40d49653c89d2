import type { PacCall } from '../../core/stages.ts';
import type { PacAnswer } from '../../pac/answer.ts';
import type { ScriptUrl } from '../../pac/script-url.ts';
import { parsePacResult } from '../../protocol/pac-result.ts';
import { formatRoute } from '../../protocol/route-text.ts';

/** One URL, the calls that the script made for it, what it answered, and what that means. */
export function answerLines({ url, host }: ScriptUrl, answer: PacAnswer): string[] {
  return [
    `FindProxyForURL(${JSON.stringify(url)}, ${JSON.stringify(host)})`,
    ...answer.calls.map((call) => `  ${callText(call)}`),
    ...(answer.ok
      ? [`=> ${JSON.stringify(answer.answer)}`, ...meaning(answer.answer)]
      : [`=> no answer: ${printable(answer.trouble)}`]),
  ];
}

function callText({ helper, args, result, ms }: PacCall): string {
  const call = `${helper}(${args.map((arg) => JSON.stringify(arg)).join(', ')})`;
  if (helper === 'alert') return call;
  return `${call.padEnd(48)} = ${JSON.stringify(result)}   ${ms < 0.1 ? ms.toFixed(3) : ms.toFixed(1)} ms`;
}

const meaning = (answer: string): string[] =>
  parsePacResult(answer, 'pac').map((route, at) => `   ${at === 0 ? 'first' : 'then '} ${formatRoute(route)}`);

/** A script may throw any text, also one that a terminal would obey. */
const printable = (text: string): string => text.replace(/[\x00-\x1f\x7f-\x9f]/g, ' ');
