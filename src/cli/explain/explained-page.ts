import { startProxy } from '../../app/start.ts';
import type { Config } from '../../config/config.ts';
import { resolveOptions } from '../../config/schema.ts';
import type { CredentialStoreDeps } from '../../credentials/credential-store.ts';
import type { ListenAddress } from '../../policy/listen-addresses.ts';
import { UsageError } from '../print.ts';
import { planOf } from './explain.ts';
import { renderHtml } from './html/render-html.ts';
import { type ExplainPlan, explain, type StartProxy } from './run.ts';

/** The running proxy for which a request is explained. */
export interface ExplainedProxy {
  readonly config: Config;
  readonly credentials: CredentialStoreDeps;
  /** A secret that was rejected is not sent by this request either. */
  readonly stateDir: string;
  /** Where the running proxy listens, the dashboard too: no route leads there. */
  readonly ownAddresses: () => readonly ListenAddress[];
}

/** The page of `viaduct explain URL --html` for the dashboard, by a proxy that is started just for it. */
export async function explainedPage(
  url: string,
  proxy: ExplainedProxy,
): Promise<{ readonly page: string } | { readonly problem: string }> {
  let plan: ExplainPlan;
  try {
    plan = planOf({ operands: [url], options: new Map() });
  } catch (error) {
    if (error instanceof UsageError) return { problem: error.message };
    throw error;
  }
  return { page: renderHtml(await explain(plan, starterOf(proxy))) };
}

/** As the running proxy, but for what concerns its clients: there is only this one. */
const starterOf =
  ({ config, credentials, stateDir, ownAddresses }: ExplainedProxy): StartProxy =>
  async (observe) => {
    const { listen, clients, limits } = resolveOptions();
    const own: Config = { ...config, listen, clients, limits, log: { ...config.log, format: 'off' } };
    const exporter = { name: 'explain', observe, [Symbol.asyncDispose]: async () => {} };
    const proxy = await startProxy(own, { exporters: [exporter], tap: observe, credentials, stateDir, ownAddresses });
    return { url: proxy.url, [Symbol.asyncDispose]: async () => void (await proxy.close({ drainMs: 0 })) };
  };
