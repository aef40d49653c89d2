import { isIP } from 'node:net';
import { load } from '../config/sources.ts';
import { systemClock } from '../core/clock.ts';
import { FAILURES, ProxyError } from '../core/failure.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { Decision, PacRouting, RoutedBy } from '../core/stages.ts';
import { buildEngine, buildHall } from '../engine.ts';
import { loadUsers } from '../identity/htpasswd.ts';
import { createLimits } from '../limits/limits.ts';
import { routeText } from '../observe/format-json.ts';
import { type Way, type WhyReport, why } from '../pipeline/why.ts';
import { formatAuthority, parseAuthority, parseAuthorityWithDefault } from '../protocol/authority.ts';
import type { Call } from './commands.ts';
import { out, UsageError } from './print.ts';
import { stateFolder } from './state-folder.ts';

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
  });
  await hall.ways.follow(config.routes);
  const rooms = buildEngine(config, {}, hall);
  const report = await why(requestFor(url, from), { user }, rooms);
  if (options.has('json')) out(JSON.stringify(report));
  else for (const line of lines(report)) out(line);
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

function lines(report: WhyReport): string[] {
  const { target, kind, client, identity, decision, limits, routing } = report;
  return [
    `${kind === 'tunnel' ? 'CONNECT' : 'GET'} ${formatAuthority(target)}, asked from ${client}`,
    row('who', whoText(identity)),
    row('rule', `${decision.rule}: ${verdict(decision)}`),
    ...(decision.wouldDeny === undefined ? [] : [row('', `${decision.wouldDeny} would deny it, and only reports`)]),
    ...(decision.verdict === 'allow' || decision.wouldAllow === undefined
      ? []
      : [row('', `${decision.wouldAllow} would allow it, and only reports`)]),
    row('limits', limits.length === 0 ? 'none' : limits.join(', ')),
    ...(routing.at === 'failed'
      ? [row('route', `none: ${routing.why}`)]
      : [...byLines(routing.by), ...routing.ways.flatMap(wayLines)]),
    `=> ${outcome(report)}`,
  ];
}

const row = (name: string, text: string): string => `  ${name.padEnd(9)}${text}`;

const verdict = (decision: Decision): string =>
  decision.verdict === 'allow' ? 'allowed' : `denied, ${FAILURES[decision.code].status} (${decision.rule})`;

function whoText(identity: WhyReport['identity']): string {
  switch (identity.at) {
    case 'known':
      return identity.principal.scheme === 'none' ? 'anyone; nobody has to say who they are' : identity.principal.name;
    case 'asked':
      return `must say who they are: ${identity.challenge}`;
    case 'refused':
      return `refused: ${identity.why}`;
  }
}

/** What decided about the way; nothing where nothing was configured. */
function byLines(by: RoutedBy): string[] {
  switch (by.kind) {
    case 'default':
      return [];
    case 'hook':
      return [row('by', 'the route hook')];
    case 'no-proxy':
      return [row('by', `noProxy: ${by.entry}`)];
    case 'rule':
      return [row('by', `rule ${by.rule}`)];
    case 'proxy':
      return [row('by', 'routes.proxy')];
    case 'system':
      return [row('by', `the system's settings (${by.source})`)];
    case 'pac':
      return pacLines(by);
  }
}

function pacLines({ source, ageMs, answer, trouble, calls, ms }: PacRouting): string[] {
  return [
    row('pac', ageMs === undefined ? source : `${source}, read ${spanText(ageMs)} ago`),
    ...calls.map(({ helper, args, result, ms: tookMs }) =>
      row('', `${helper}(${args.map(printed).join(', ')}) = ${printed(result)}  ${tookMs.toFixed(1)} ms`),
    ),
    ...(answer === undefined ? [] : [row('', `answered ${printed(answer)} in ${ms.toFixed(1)} ms`)]),
    ...(trouble === undefined ? [] : [row('', `trouble: ${trouble}`)]),
  ];
}

const printed = (value: unknown): string => JSON.stringify(value) ?? String(value);

function wayLines({ route, sitsOutMs, addresses }: Way): string[] {
  const rests = sitsOutMs === undefined ? '' : `, sits out for ${spanText(sitsOutMs)}`;
  return [
    row('route', `${routeText(route)}${rests}`),
    ...(addresses.at === 'failed' ? [row('address', addresses.why)] : []),
    ...(addresses.at === 'found'
      ? addresses.judged.map((one, at) => row(at === 0 ? 'address' : '', `${one.address}: ${verdict(one.decision)}`))
      : []),
  ];
}

/** `3 min 20 s`; nobody needs it finer. */
function spanText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  return seconds < 3600
    ? `${Math.floor(seconds / 60)} min ${seconds % 60} s`
    : `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** The first thing that would stop it, in the order in which the proxy asks. */
function outcome({ identity, decision, routing }: WhyReport): string {
  if (identity.at === 'refused') return 'refused with 403';
  if (identity.at === 'asked') return 'refused with 407 without a password; say --as USER to see what a user may do';
  if (decision.verdict === 'deny') return `refused with ${FAILURES[decision.code].status}`;
  if (routing.at === 'failed') return `fails with ${FAILURES[routing.code].status}: ${routing.why}`;
  // Those that sit out come last, as when a request is sent.
  const ways = [...routing.ways].sort(
    (one, other) => Number(one.sitsOutMs !== undefined) - Number(other.sitsOutMs !== undefined),
  );
  const [only, ...others] = ways;
  if (only === undefined) return 'fails with 502: no route';
  if (others.length === 0) return outcomeOf(only);
  const first = ways.find(({ addresses }) => addresses.at === 'found') ?? only;
  return first.addresses.at === 'found' && !isDenied(first)
    ? `would be tried by ${routeText(first.route)} first`
    : outcomeOf(first);
}

function outcomeOf({ addresses, route }: Way): string {
  const what = route.via === 'direct' ? 'the name' : 'the name of the proxy';
  if (addresses.at === 'failed') return `fails with 502: ${what} is not resolved`;
  if (addresses.judged.some((one) => one.decision.verdict === 'allow'))
    return route.via === 'direct' ? 'would be served' : `would be sent to ${routeText(route)}`;
  const denied = addresses.judged.find((one) => one.decision.verdict === 'deny')?.decision;
  return denied?.verdict === 'deny' ? `refused with ${FAILURES[denied.code].status}` : 'fails with 502: no address';
}

const isDenied = ({ addresses }: Way): boolean =>
  addresses.at === 'found' && !addresses.judged.some(({ decision }) => decision.verdict === 'allow');
