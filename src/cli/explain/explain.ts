import { hostname } from 'node:os';
import { startProxy } from '../../app/start.ts';
import type { Config } from '../../config/config.ts';
import { resolveOptions } from '../../config/schema.ts';
import { load } from '../../config/sources.ts';
import { type CredentialStoreDeps, credentialStore } from '../../credentials/credential-store.ts';
import { asFileError } from '../../files/file-terms.ts';
import { replaceFile } from '../../files/replace-file.ts';
import { stateFolder } from '../../files/state-folder.ts';
import { wantsColours } from '../../observe/access-log.ts';
import { colourful, plain } from '../../observe/format-pretty.ts';
import { withScheme } from '../../protocol/addresses/typed-url.ts';
import { parseProxyUrl } from '../../protocol/routes/proxy-url.ts';
import { type TlsSettings, TrustError, tlsSettings } from '../../upstream/tls/trust.ts';
import type { AuthSession } from '../../upstream-auth/auth-session.ts';
import { systemKerberos } from '../../upstream-auth/gssapi/gssapi.ts';
import { LatchFile } from '../../upstream-auth/latch-file.ts';
import { ProxyAuthCache } from '../../upstream-auth/proxy-auth-cache.ts';
import { workstationName } from '../../upstream-auth/schemes/ntlm.ts';
import { systemSspi } from '../../upstream-auth/sspi/sspi.ts';
import { UpstreamAuth } from '../../upstream-auth/upstream-auth.ts';
import { systemClock } from '../../util/clock.ts';
import { quoted, redact } from '../../util/redact.ts';
import { credentialSources, nonInteractiveSources } from '../account/prompt-accounts.ts';
import type { Call } from '../command.ts';
import { logLine, UsageError } from '../print.ts';
import { renderHtml } from './html/render-html.ts';
import { json } from './json.ts';
import { bareHost } from './proxy-connection.ts';
import { render } from './render.ts';
import { type ExplainPlan, explain, type StartProxy } from './run.ts';
import { isSocks } from './socks.ts';

/** For the whole request. The proxy's own timeouts are shorter, and say better what was too slow. */
const REQUEST_MS_MAX = 90_000;

/** `viaduct explain URL`: one request through a proxy, and what was sent on every hop. 1 when it had no response. */
export async function run(call: Call): Promise<number> {
  const plan = planOf(call);
  const { through } = plan;
  const authenticate = through && !isSocks(through) ? authenticator(call, process.env, through) : undefined;
  const trust = through?.protocol === 'https:' ? trustOf(call, process.env, through) : undefined;
  const explanation = await explain({ ...plan, authenticate, trust }, starter(call, process.env));
  const paint = wantsColours(process.stdout, process.env) ? colourful : plain;
  const page = call.options.get('html')?.at(-1);
  if (page !== undefined) writePage(page, renderHtml(explanation));
  process.stdout.write(call.options.has('json') ? json(explanation) : render(explanation, paint));
  return explanation.outcome === 'answered' ? 0 : 1;
}

/** Whole or not at all, so that a browser which reads it meanwhile has a complete page. */
function writePage(path: string, page: string): void {
  try {
    replaceFile(path, page);
  } catch (error) {
    throw new UsageError(`--html ${redact(path)} cannot be written: ${asFileError(error).message}`);
  }
  logLine(`viaduct: the page is in ${redact(path)}; open it in a browser`);
}

/** What the command line asks for. Throws UsageError. */
export function planOf({ operands, options }: Pick<Call, 'operands' | 'options'>): ExplainPlan {
  const last = (name: string) => options.get(name)?.at(-1);
  const url = urlOf(operands[0] ?? '', 'https', ['https:', 'http:']);
  const text = last('through');
  // A listener with that scheme speaks HTTP too.
  const through = text === undefined ? undefined : urlOf(text.replace(/^any:/i, 'http:'), 'http', PROXIES);
  if (options.has('ca') && through?.protocol !== 'https:') {
    throw new UsageError('--ca trusts the authority of an https: proxy; write it with --through https://HOST:PORT');
  }
  const method = last('method') ?? 'GET';
  // A CONNECT inside the tunnel would be another conversation than the one on the page.
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(method) || method === 'CONNECT') {
    throw new UsageError(`--method ${redact(method)}: write a method such as GET or HEAD`);
  }
  return {
    url,
    method,
    mode:
      url.protocol === 'https:' || options.has('tunnel') || (through && isSocks(through)) ? 'tunnel' : 'absolute-form',
    through,
    distrusted: options.has('insecure') ? 'go-on' : 'stop',
    timeoutMs: REQUEST_MS_MAX,
  };
}

const PROXIES = ['http:', 'https:', 'socks5:', 'socks5h:', 'socks4:', 'socks4a:'];

/** A URL, or one without its scheme as people type it: `localhost:3128`, `example.org/path`. */
function urlOf(text: string, scheme: string, known: readonly string[]): URL {
  const url = URL.parse(withScheme(text, scheme));
  if (url === null || url.hostname === '') {
    throw new UsageError(`${quoted(text)} is not a valid URL; write for example ${scheme}://example.org`);
  }
  if (!known.includes(url.protocol)) {
    throw new UsageError(`${url.protocol}// cannot be explained; use ${known.map((one) => `${one}//`).join(', ')}`);
  }
  return url;
}

/** An `https:` proxy that runs already is trusted as it would be as an upstream. */
function trustOf({ settings, options }: Call, environment: NodeJS.ProcessEnv, through: URL): TlsSettings {
  const { upstreams } = load({ flags: settings, environment, isTerminal: false }).config;
  const ca = options.get('ca')?.at(-1);
  if (ca === undefined) return tlsSettings(upstreams);
  try {
    // The first entry that matches holds.
    return tlsSettings([{ host: bareHost(through.hostname), ca }, ...upstreams]);
  } catch (error) {
    if (error instanceof TrustError) throw new UsageError(`--ca ${error.message}`);
    throw error;
  }
}

/** The account for a proxy that runs already: the login in its URL, else the user's own accounts. */
export function authenticator(
  { settings }: Pick<Call, 'settings'>,
  environment: NodeJS.ProcessEnv,
  through: URL,
): (signal: AbortSignal) => Promise<AuthSession> {
  const hop = parseProxyUrl(through.href, 'user');
  return async (signal) => {
    const { config } = load({ flags: settings, environment, isTerminal: false });
    const auth = new UpstreamAuth({
      credentials: credentialStore(
        { ...config.credentials, upstreams: config.upstreams },
        await credentialSourcesFor(config, environment),
      ),
      cache: new ProxyAuthCache(systemClock, { latches: new LatchFile(stateFolder(environment)) }),
      kerberos: systemKerberos({ clock: systemClock, platform: process.platform }),
      sspi: systemSspi({ clock: systemClock, platform: process.platform }),
      workstation: workstationName(hostname()),
      clock: systemClock,
    });
    const authContext = await auth.contextFor(hop);
    return authContext.createSession({ signal, observe: () => undefined }, 'anonymous');
  };
}

/** As `run` has them; without a terminal, only the secrets that need no prompt. */
async function credentialSourcesFor(config: Config, environment: NodeJS.ProcessEnv): Promise<CredentialStoreDeps> {
  const stateDir = stateFolder(environment);
  if (process.stdin.isTTY !== true) {
    return { ...nonInteractiveSources(environment, stateDir), startedMs: systemClock.wallMs(), prompted: new Map() };
  }
  return await credentialSources({ ...config.credentials, upstreams: config.upstreams }, environment, stateDir);
}

/** Starts a proxy with the settings that `run` would have, but for what concerns its clients: there is only this one. */
export function starter({ settings }: Pick<Call, 'settings'>, environment: NodeJS.ProcessEnv): StartProxy {
  return async (observe) => {
    const { config } = load({ flags: settings, environment, isTerminal: false });
    const { listen, clients, limits } = resolveOptions();
    const own: Config = { ...config, listen, clients, limits, log: { ...config.log, format: 'off' } };
    const exporter = { name: 'explain', observe, [Symbol.asyncDispose]: async () => {} };
    const credentials = await credentialSourcesFor(config, environment);
    // With the latches of this user: a password that was rejected is not sent once more, and one that is now gets latched.
    const stateDir = stateFolder(environment);
    const proxy = await startProxy(own, { exporters: [exporter], tap: observe, credentials, stateDir });
    return { url: proxy.url, [Symbol.asyncDispose]: async () => void (await proxy.close({ drainMs: 0 })) };
  };
}
