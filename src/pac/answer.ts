import type { PacCall } from '../core/stages.ts';

/** What came of asking a script. `calls` are those of the run that gave the answer; reading them costs a little. */
export type PacAnswer = { readonly ms: number; readonly calls: readonly PacCall[] } & (
  | { readonly ok: true; readonly answer: string }
  /** In plain words, with the line where the script is to blame. */
  | { readonly ok: false; readonly trouble: string }
);

/** What a run gave, as a sandbox tells it. */
export type Settled = { readonly calls: string } & ({ readonly answer: string } | { readonly trouble: string });

export function answerOf(how: Settled, ms: number): PacAnswer {
  let calls: readonly PacCall[] | undefined;
  const told = {
    ms,
    get calls() {
      calls ??= readCalls(how.calls);
      return calls;
    },
  };
  return 'answer' in how
    ? Object.assign(told, { ok: true as const, answer: how.answer })
    : Object.assign(told, { ok: false as const, trouble: how.trouble });
}

/** What a sandbox tells of calls. A script can spoil what JSON is made of in there, so its shape is not believed. */
function readCalls(text: string): readonly PacCall[] {
  const told: unknown = parseJson(text);
  if (!Array.isArray(told)) return [];
  return told.flatMap((call: unknown) => {
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
