import type { Observe } from '../../contracts/event.ts';
import { ExplainError } from './explain-error.ts';
import { maskUrls, shownUrl } from './mask.ts';
import { proxyStatusError, refusalMeaning } from './meaning.ts';
import { type FinalResponse, type RequestPlan, runRequest } from './run-request.ts';
import type { Explanation } from './steps.ts';
import { Trace } from './trace.ts';

/** A proxy that runs for one explanation, and reports its events. */
export interface LocalProxy extends AsyncDisposable {
  readonly url: string;
}
export type StartProxy = (observe: Observe) => Promise<LocalProxy>;

export interface ExplainPlan extends Omit<RequestPlan, 'proxy' | 'signal'> {
  /** A proxy that is running already; `undefined` starts one. */
  readonly through: URL | undefined;
  readonly timeoutMs: number;
}

/** How long the proxy may take to close its record once the client is done. */
const RECORD_MS = 1000;

/** Makes one request through a proxy and returns its steps. A failure of the request is a step, not an error. */
export async function explain(plan: ExplainPlan, start: StartProxy): Promise<Explanation> {
  const trace = new Trace(() => performance.now());
  if (plan.through !== undefined) return await explainThrough(plan, plan.through, trace);
  let current = trace;
  await using proxy = await start((event) => current.observe(event));
  // The clock starts when the proxy is there: its start is not part of a request.
  current = new Trace(() => performance.now());
  return await explainThrough(plan, new URL(proxy.url), current);
}

async function explainThrough(plan: ExplainPlan, proxy: URL, trace: Trace): Promise<Explanation> {
  const signal = AbortSignal.timeout(plan.timeoutMs);
  let response: FinalResponse | undefined;
  let failed = false;
  try {
    response = await runRequest({ ...plan, proxy, signal }, trace);
  } catch (error) {
    if (!(error instanceof ExplainError)) throw error;
    failed = true;
    if (plan.through === undefined) await waitForRecord(trace);
    trace.add({ kind: 'failed', ...error.failure });
  }
  const totalMs = trace.elapsedMs();
  if (plan.through === undefined && !failed) await waitForRecord(trace);
  if (response?.by === 'the proxy' && wasRefused(plan, response, trace)) {
    failed = true;
    const meaning = refusalMeaning(response.status, response.fields, trace.record);
    trace.add(response.why === undefined ? meaning : { ...meaning, what: response.why });
  }
  return {
    url: shownUrl(plan.url),
    method: plan.method,
    proxy: {
      url: maskUrls(proxy.href).replace(/\/$/, ''),
      started: plan.through === undefined ? 'for-this-run' : 'before',
    },
    outcome: failed ? 'failed' : 'answered',
    status: response?.status,
    totalMs,
    steps: trace.steps,
  };
}

/** Any response to CONNECT but 2xx is a refusal; a refused plain request looks like the site's response, but for Proxy-Status. */
const wasRefused = (plan: ExplainPlan, { status, fields }: FinalResponse, trace: Trace): boolean =>
  plan.mode === 'tunnel' ||
  status === 407 ||
  trace.record?.failure !== undefined ||
  proxyStatusError(fields) !== undefined;

/** The record comes when the proxy has closed its side, a moment after the client has closed its own. */
async function waitForRecord(trace: Trace): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, RECORD_MS);
  });
  await Promise.race([trace.waitForRecord(), late]);
  clearTimeout(timer);
}
