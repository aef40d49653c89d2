import { isIP } from 'node:net';
import { createGeneration } from '../../app/generation.ts';
import { createSharedServices } from '../../app/shared-services.ts';
import { listenUrl } from '../../clients/listening.ts';
import type { Listen } from '../../clients/options.ts';
import { spokenText } from '../../clients/spoken-text.ts';
import { load } from '../../config/sources.ts';
import type { ProxyRequest } from '../../contracts/request.ts';
import { stateFolder } from '../../files/state-folder.ts';
import { loadUsers } from '../../identity/htpasswd.ts';
import { createLimits } from '../../limits/limits.ts';
import { readProxyHealth } from '../../observe/proxy-health-file.ts';
import { scriptUrlOf } from '../../pac/script-url.ts';
import type { Services } from '../../pipeline/services.ts';
import { type AskingClient, UrlError, urlRequest } from '../../pipeline/url-request.ts';
import { why } from '../../pipeline/why.ts';
import { nameOf } from '../../upstream/health/proxy-health.ts';
import { tlsToProxies } from '../../upstream/tls/tls-to-proxies.ts';
import { tlsSettings } from '../../upstream/tls/trust.ts';
import { systemClock } from '../../util/clock.ts';
import { quoted, redactorOf } from '../../util/redact.ts';
import { nonInteractiveSources } from '../account/prompt-accounts.ts';
import type { Call } from '../command.ts';
import { modeInForce } from '../mode-in-force.ts';
import { out, UsageError } from '../print.ts';
import { whyLines } from './why-text.ts';

/** `viaduct why URL`: what would be decided, and why, without sending anything but DNS queries. */
export async function run({ operands, settings, options }: Call): Promise<number> {
  const [url = ''] = operands;
  const from = options.get('from')?.at(-1) ?? '127.0.0.1';
  if (isIP(from) === 0) throw new UsageError(`--from takes an IP address, not ${quoted(from)}`);
  const { config } = load({ flags: settings, environment: process.env, isTerminal: false });
  const listen = listenerOf(config.listen, options.get('listener')?.at(-1));
  const observe = () => undefined;
  const user = options.get('as')?.at(-1);
  // Rules may name only users that exist; so may a question.
  if (user !== undefined && config.clients.users !== undefined && !loadUsers(config.clients.users).has(user))
    throw new UsageError(`--as ${quoted(user)}: clients.users has no such user`);
  // What the running proxy has counted is its own: nothing here may read or move its file.
  const limiter = createLimits({ ...config.limits, state: undefined }, { clock: systemClock, observe });
  const listeners = config.listen.flatMap((one) => (one.kind === 'tcp' ? [{ address: one.host, port: one.port }] : []));
  await using shared = createSharedServices({
    clock: systemClock,
    observe,
    tap: undefined,
    lookup: undefined,
    limiter,
    secure: tlsToProxies({
      settingsOf: tlsSettings(config.upstreams),
      connectMs: config.timeouts.connectMs,
      clock: systemClock,
    }),
    listeners: () => listeners,
    listenSettings: () => listen.settings,
    stateDir: stateFolder(process.env),
    environment: process.env,
    trace: 'calls',
    // No prompt for a password: none is sent.
    credentials: {
      ...nonInteractiveSources(process.env, stateFolder(process.env)),
      startedMs: systemClock.wallMs(),
      prompted: new Map(),
    },
  });
  await shared.pacService.configure(config.routes, config.upstreams);
  const { mode, untilMs } = await modeInForce(config, stateFolder(process.env));
  shared.mode.set(mode, untilMs);
  const downByName = readProxyHealth(stateFolder(process.env), systemClock.wallMs());
  await using generation = await createGeneration(config, {}, shared);
  const services: Services = {
    ...generation.services,
    // Running proxies write down which upstream proxies they have marked down.
    health: {
      downUntilMs(hops) {
        const untilMs = downByName.get(nameOf(hops));
        return untilMs && untilMs - systemClock.wallMs() + systemClock.now();
      },
    },
  };
  const request = typedRequest(url, {
    address: from,
    listener: listenUrl(listen),
    speaks: listen.protocol === 'socks5' ? 'socks5' : 'http/1.1',
    ...(listen.kind === 'bridge' && { isOnBridge: true }),
  });
  const report = await why(request, { user }, services);
  // A PAC gets path and query of a plain request, and may hand them to any helper.
  const hide = redactorOf(scriptUrlOf(request).url);
  if (options.has('json')) out(hide(JSON.stringify(report)));
  else for (const line of whyLines(report, spokenText(listen))) out(hide(line));
  return 0;
}

/** The one with this URL; the first where none is named. */
function listenerOf(all: readonly Listen[], url: string | undefined): Listen {
  // As it may stand in the configuration.
  const wanted = url?.replace(/\/$/, '').replace('//localhost:', '//127.0.0.1:');
  const found = wanted === undefined ? all[0] : all.find((one) => listenUrl(one) === wanted);
  if (found !== undefined) return found;
  throw new UsageError(
    `--listener ${quoted(url ?? '')}: there is no such listener; write one of ${all.map(listenUrl).join(', ')}`,
  );
}

function typedRequest(url: string, from: AskingClient): ProxyRequest {
  try {
    return urlRequest(url, from, systemClock);
  } catch (error) {
    if (error instanceof UrlError) throw new UsageError(error.message);
    throw error;
  }
}
