import { isIP } from 'node:net';
import { load } from '../config/sources.ts';
import { systemClock } from '../core/clock.ts';
import { ProxyError } from '../core/failure.ts';
import type { ProxyRequest } from '../core/request.ts';
import { loginFile } from '../credentials/login-record.ts';
import { unattendedSources } from '../credentials/unattended.ts';
import { buildEngine, buildHall } from '../engine.ts';
import { loadUsers } from '../identity/htpasswd.ts';
import { createLimits } from '../limits/limits.ts';
import { readSittingOut } from '../observe/sitting-out.ts';
import type { Rooms } from '../pipeline/rooms.ts';
import { why } from '../pipeline/why.ts';
import { parseAuthority, parseAuthorityWithDefault } from '../protocol/authority.ts';
import { nameOf } from '../upstream/health.ts';
import type { Call } from './commands.ts';
import { out, UsageError } from './print.ts';
import { stateFolder } from './state-folder.ts';
import { whyLines } from './why-text.ts';

/** A lookup that takes longer would have failed the request as well. */
const LOOKUP_MS = 30_000;

/** `viaduct why URL`: what would be decided, and why, without sending anything but DNS queries. */
export async function run({ operands, settings, options }: Call): Promise<number> {
  const [url = ''] = operands;
  const from = options.get('from')?.at(-1) ?? '127.0.0.1';
  if (isIP(from) === 0) throw new UsageError(`--from takes an IP address, not ${JSON.stringify(from)}`);
  const { config } = load({ flags: settings, environment: process.env, isTerminal: false });
  const observe = () => undefined;
  const user = options.get('as')?.at(-1);
  // Rules may name only users that exist; so may a question.
  if (user !== undefined && config.clients.users !== undefined && !loadUsers(config.clients.users).has(user))
    throw new UsageError(`--as ${JSON.stringify(user)}: clients.users has no such user`);
  // What the running proxy has counted is its own: nothing here may read or move its file.
  const limiter = createLimits({ ...config.limits, state: undefined }, { clock: systemClock, observe });
  const listeners = config.listen.flatMap((one) => (one.kind === 'tcp' ? [{ address: one.host, port: one.port }] : []));
  await using hall = buildHall({
    clock: systemClock,
    observe,
    tap: undefined,
    lookup: undefined,
    limiter,
    listeners: () => listeners,
    stateDir: stateFolder(process.env),
    environment: process.env,
    trace: 'calls',
    // Nobody is asked for a password that is not sent.
    credentials: { ...unattendedSources(systemClock, process.env), loginFile: loginFile(stateFolder(process.env)) },
  });
  await hall.ways.follow(config.routes);
  const sitsOut = readSittingOut(stateFolder(process.env), systemClock.wallMs());
  const rooms: Rooms = {
    ...buildEngine(config, {}, hall),
    // Who sits out is known to the proxy that runs.
    health: {
      sitsOutUntilMs(hops) {
        const untilMs = sitsOut.get(nameOf(hops));
        return untilMs && untilMs - systemClock.wallMs() + systemClock.now();
      },
    },
  };
  const report = await why(requestFor(url, from), { user }, rooms);
  if (options.has('json')) out(JSON.stringify(report));
  else for (const line of whyLines(report)) out(line);
  return 0;
}

/** The request that a client would send for this URL. */
function requestFor(text: string, address: string): ProxyRequest {
  const common = {
    id: 'why',
    version: '1.1',
    headers: [],
    client: { address, port: 0, listener: 'why' },
    signal: AbortSignal.timeout(LOOKUP_MS),
    startedMs: systemClock.now(),
  } as const;
  const other = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (other !== undefined && other !== 'http' && other !== 'https')
    throw new UsageError(`${JSON.stringify(text)}: only http:// and https:// URLs, and host:port, can be asked about`);
  try {
    const [, scheme, authority = '', path = ''] = /^(https?):\/\/([^/?#]*)([^#]*)/i.exec(text) ?? [];
    if (scheme === undefined) return { ...common, kind: 'tunnel', method: 'CONNECT', target: parseAuthority(text) };
    if (scheme.toLowerCase() === 'https') {
      return { ...common, kind: 'tunnel', method: 'CONNECT', target: parseAuthorityWithDefault(authority, 443) };
    }
    const target = parseAuthorityWithDefault(authority, 80);
    return { ...common, kind: 'forward', method: 'GET', target, url: text, path, body: undefined };
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    throw new UsageError(`${JSON.stringify(text)} is no URL and no host:port: ${error.detail}`);
  }
}
