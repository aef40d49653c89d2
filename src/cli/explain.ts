import { hostname } from 'node:os';
import type { Config } from '../config/schema.ts';
import { resolveOptions } from '../config/schema.ts';
import { load } from '../config/sources.ts';
import { systemClock } from '../core/clock.ts';
import { type BookParts, credentialBook } from '../credentials/book.ts';
import { loginFile } from '../credentials/login-record.ts';
import { unattendedSources } from '../credentials/unattended.ts';
import { wantsColours } from '../observe/access-log.ts';
import { colourful, plain } from '../observe/format-pretty.ts';
import { parseProxyUrl } from '../protocol/proxy-url.ts';
import { startProxy } from '../proxy.ts';
import { systemTicketing } from '../upstream/auth/gssapi.ts';
import type { Introduction } from '../upstream/auth/introduction.ts';
import { AuthMemory } from '../upstream/auth/memory.ts';
import { workstationName } from '../upstream/auth/ntlm.ts';
import { UpstreamAuth } from '../upstream/auth/upstream-auth.ts';
import type { Call } from './commands.ts';
import { json } from './explain/json.ts';
import { render } from './explain/render.ts';
import { explain, type Plan, type StartProxy } from './explain/run.ts';
import { UsageError } from './print.ts';
import { credentialSources } from './prompt-accounts.ts';
import { stateFolder } from './state-folder.ts';

/** A person waits at the terminal; the proxy's own limits are shorter, and tell more about what was too slow. */
const PATIENCE_MS = 90_000;

/** `viaduct explain URL`: one request through a proxy, and what was said on every hop. 1 when it was not answered. */
export async function run(call: Call): Promise<number> {
  const plan = planOf(call);
  const introduce = plan.through && introducer(call, process.env, plan.through);
  const told = await explain({ ...plan, introduce }, starter(call, process.env));
  const paint = wantsColours(process.stdout, process.env) ? colourful : plain;
  process.stdout.write(call.options.has('json') ? json(told) : render(told, paint));
  return told.outcome === 'answered' ? 0 : 1;
}

/** What the command line asks for. Throws UsageError. */
export function planOf({ operands, options }: Pick<Call, 'operands' | 'options'>): Plan {
  const last = (name: string) => options.get(name)?.at(-1);
  const url = urlOf(operands[0] ?? '', 'https');
  const through = last('through');
  const method = last('method') ?? 'GET';
  // A CONNECT inside the tunnel would be another conversation than the one on the page.
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(method) || method === 'CONNECT') {
    throw new UsageError(`--method ${method}: write a method such as GET or HEAD`);
  }
  return {
    url,
    method,
    way: url.protocol === 'https:' || options.has('tunnel') ? 'tunnel' : 'absolute-form',
    through: through === undefined ? undefined : urlOf(through, 'http'),
    distrusted: options.has('insecure') ? 'go-on' : 'stop',
    timeoutMs: PATIENCE_MS,
  };
}

/** A URL, or one without its scheme as people type it: `localhost:3128`, `example.org/path`. */
function urlOf(text: string, scheme: string): URL {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `${scheme}://${text}`);
  if (url === null || url.hostname === '') {
    throw new UsageError(`"${text}" is no URL; write for example ${scheme}://example.org`);
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw new UsageError(`${url.protocol}// cannot be explained; use http:// or https://`);
  }
  return url;
}

/** Who we are at a proxy that runs already: the login in its URL, else the user's own accounts. */
export function introducer(
  { settings }: Pick<Call, 'settings'>,
  environment: NodeJS.ProcessEnv,
  through: URL,
): (signal: AbortSignal) => Promise<Introduction> {
  const hop = parseProxyUrl(through.href, 'user');
  return async (signal) => {
    const { config } = load({ flags: settings, environment, isTerminal: false });
    const auth = new UpstreamAuth({
      book: credentialBook(
        { ...config.credentials, upstreams: config.upstreams },
        await sourcesOf(config, environment),
      ),
      memory: new AuthMemory(systemClock),
      tickets: systemTicketing({ clock: systemClock, platform: process.platform }),
      workstation: workstationName(hostname()),
      clock: systemClock,
    });
    const visit = await auth.visit(hop);
    return visit.introduce({ signal, observe: () => undefined }, 'free');
  };
}

/** As `run` has them; where nobody can be asked, what is there has to do. */
async function sourcesOf(config: Config, environment: NodeJS.ProcessEnv): Promise<BookParts> {
  const stateDir = stateFolder(environment);
  if (process.stdin.isTTY !== true)
    return { ...unattendedSources(systemClock, environment), loginFile: loginFile(stateDir) };
  return await credentialSources({ ...config.credentials, upstreams: config.upstreams }, environment, stateDir);
}

/** Starts a proxy with the settings that `run` would have, but for what concerns its clients: there is only this one. */
export function starter({ settings }: Pick<Call, 'settings'>, environment: NodeJS.ProcessEnv): StartProxy {
  return async (observe) => {
    const { config } = load({ flags: settings, environment, isTerminal: false });
    const { listen, clients } = resolveOptions();
    const own: Config = { ...config, listen, clients, log: { format: 'off' } };
    const exporter = { name: 'explain', observe, [Symbol.asyncDispose]: async () => {} };
    const credentials = await sourcesOf(config, environment);
    const proxy = await startProxy(own, { exporters: [exporter], tap: observe, credentials });
    return { url: proxy.url, [Symbol.asyncDispose]: async () => void (await proxy.close({ drainMs: 0 })) };
  };
}
