import type { PacCall } from '../../contracts/stages.ts';
import type { PacEvaluation } from '../../pac/engine/evaluation.ts';
import type { ScriptUrl } from '../../pac/script-url.ts';
import { isBlockedRoute, readPacResult, unreadText } from '../../protocol/routes/pac-result.ts';
import { formatRoute } from '../../protocol/routes/route-text.ts';

/** One URL, the calls that the script made for it, its result, and what that means. */
export function resultLines({ url, host }: ScriptUrl, evaluation: PacEvaluation): string[] {
  return [
    `FindProxyForURL(${JSON.stringify(url)}, ${JSON.stringify(host)})`,
    ...evaluation.calls.map((call) => `  ${callText(call)}`),
    ...(evaluation.ok
      ? [`=> ${JSON.stringify(evaluation.result)}`, ...meaning(evaluation.result)]
      : [`=> no result: ${printable(evaluation.failure)}`]),
  ];
}

function callText({ helper, args, result, ms }: PacCall): string {
  const call = `${helper}(${args.map((arg) => JSON.stringify(arg)).join(', ')})`;
  if (helper === 'alert') return call;
  return `${call.padEnd(48)} = ${JSON.stringify(result)}   ${ms < 0.1 ? ms.toFixed(3) : ms.toFixed(1)} ms`;
}

function meaning(result: string): string[] {
  const read = readPacResult(result, 'pac');
  const unread = unreadText(read);
  return [
    ...(unread === undefined ? [] : [`   ${unread}`]),
    ...read.routes.map((route, at) => {
      const nowhere = isBlockedRoute(route) ? ', which cannot be reached: port 0' : '';
      return `   ${at === 0 ? 'first' : 'then '} ${formatRoute(route)}${nowhere}`;
    }),
  ];
}

/** A script may throw any text, also one with control sequences of a terminal. */
export const printable = (text: string): string => text.replace(/[\x00-\x1f\x7f-\x9f]/g, ' ');
