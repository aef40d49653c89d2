import type { Observe } from '../../core/contracts.ts';
import { maskUrls, shownUrl } from './mask.ts';
import { proxyStatusError, refusalMeaning } from './meaning.ts';
import type { Explanation } from './steps.ts';
import { Stopped } from './stopped.ts';
import { type Answered, type Talk, talk } from './talk.ts';
import { Trace } from './trace.ts';

/** A proxy that runs for one explanation, and tells all it does. */
export interface OwnProxy extends AsyncDisposable {
  readonly url: string;
}
export type StartProxy = (observe: Observe) => Promise<OwnProxy>;

export interface Plan extends Omit<Talk, 'proxy' | 'signal'> {
  /** A proxy that is running already; `undefined` starts one. */
  readonly through: URL | undefined;
  readonly timeoutMs: number;
}

/** How long the proxy may take to tell how it ended, once the client is done. */
const RECORD_MS = 1000;

/** Makes one request through a proxy and gives the story of it. Failures of the request are part of the story. */
export async function explain(plan: Plan, start: StartProxy): Promise<Explanation> {
  const trace = new Trace(() => performance.now());
  if (plan.through !== undefined) return await tell(plan, plan.through, trace);
  let current = trace;
  await using proxy = await start((event) => current.hear(event));
  // The clock starts when the proxy is there: its start is not part of a request.
  current = new Trace(() => performance.now());
  return await tell(plan, new URL(proxy.url), current);
}

async function tell(plan: Plan, proxy: URL, trace: Trace): Promise<Explanation> {
  const signal = AbortSignal.timeout(plan.timeoutMs);
  let answered: Answered | undefined;
  let failed = false;
  try {
    answered = await talk({ ...plan, proxy, signal }, trace);
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    failed = true;
    if (plan.through === undefined) await recorded(trace);
    trace.add({ kind: 'failed', ...error.failed });
  }
  const totalMs = trace.elapsedMs();
  if (plan.through === undefined && !failed) await recorded(trace);
  if (answered?.by === 'the proxy' && wasRefused(plan, answered, trace)) {
    failed = true;
    const meaning = refusalMeaning(answered.status, answered.fields, trace.record);
    trace.add(answered.why === undefined ? meaning : { ...meaning, what: answered.why });
  }
  return {
    url: shownUrl(plan.url),
    method: plan.method,
    proxy: {
      url: maskUrls(proxy.href).replace(/\/$/, ''),
      started: plan.through === undefined ? 'for-this-run' : 'before',
    },
    outcome: failed ? 'failed' : 'answered',
    status: answered?.status,
    totalMs,
    steps: trace.steps,
  };
}

/** With CONNECT whatever is not 2xx is the proxy's no; else its answer looks like the site's, but for Proxy-Status. */
const wasRefused = (plan: Plan, { status, fields }: Answered, trace: Trace): boolean =>
  plan.way === 'tunnel' ||
  status === 407 ||
  trace.record?.failure !== undefined ||
  proxyStatusError(fields) !== undefined;

/** The record comes when the proxy has closed its side, a moment after the client has closed its own. */
async function recorded(trace: Trace): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, RECORD_MS);
  });
  await Promise.race([trace.recorded(), late]);
  clearTimeout(timer);
}
