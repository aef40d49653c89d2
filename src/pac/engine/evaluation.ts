import type { PacCall } from '../../contracts/stages.ts';

/** What the evaluation of a script gave. `calls` are those of its last run, parsed when they are first read. */
export type PacEvaluation = { readonly ms: number; readonly calls: readonly PacCall[] } & (
  | { readonly ok: true; readonly result: string }
  /** One sentence, with the line of the script where the fault is in it. */
  | { readonly ok: false; readonly failure: string }
);

/** The result of a run as the sandbox returns it; `calls` is JSON. */
export type RunResult = { readonly calls: string } & ({ readonly result: string } | { readonly failure: string });

export function evaluationOf(result: RunResult, ms: number): PacEvaluation {
  let calls: readonly PacCall[] | undefined;
  const details = {
    ms,
    get calls() {
      calls ??= readCalls(result.calls);
      return calls;
    },
  };
  return 'result' in result
    ? Object.assign(details, { ok: true as const, result: result.result })
    : Object.assign(details, { ok: false as const, failure: result.failure });
}

/** A script can replace parts of JSON in its sandbox, so the shape of what comes out is checked. */
function readCalls(text: string): readonly PacCall[] {
  const parsed: unknown = parseJson(text);
  if (!Array.isArray(parsed)) return [];
  return parsed.flatMap((call: unknown) => {
    if (!Array.isArray(call)) return [];
    const [helper, args, result, ms]: unknown[] = call;
    return typeof helper === 'string' && Array.isArray(args) && typeof ms === 'number'
      ? [{ helper, args, result, ms }]
      : [];
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
