import { FAILURES } from '../../contracts/failure.ts';
import type { Decision, Hop, PacRouting, Route, RouteSource } from '../../contracts/stages.ts';
import type { UpstreamAccountSummary } from '../../contracts/upstream-account.ts';
import { routeText } from '../../observe/record-text.ts';
import { durationText } from '../../observe/units.ts';
import type { DeniedTarget } from '../../pipeline/literal-target.ts';
import type { RouteReport, WhyReport } from '../../pipeline/why.ts';
import { formatAuthority } from '../../protocol/addresses/authority.ts';
import { formatHop } from '../../protocol/routes/proxy-url.ts';

/** The report for a person: what decided, in the order in which the proxy asks, and what would come of it. */
export function whyLines(report: WhyReport, spoken: string): string[] {
  const { target, kind, client, listener, identity, decision, limits, routing, mode } = report;
  return [
    `${kind === 'tunnel' ? 'CONNECT' : 'GET'} ${formatAuthority(target)}, asked from ${client}`,
    row('listener', `${listener}: ${spoken}`),
    row('who', identityText(identity)),
    row('rule', `${decision.rule}: ${verdict(decision)}`),
    ...(decision.wouldDeny === undefined ? [] : [row('', `${decision.wouldDeny} would deny it, and only reports`)]),
    ...(decision.verdict === 'allow' || decision.wouldAllow === undefined
      ? []
      : [row('', `${decision.wouldAllow} would allow it, and only reports`)]),
    row('limits', limits.length === 0 ? 'none' : limits.join(', ')),
    ...(mode === undefined ? [] : [row('mode', modeText(mode))]),
    ...(routing.at === 'failed'
      ? [row('route', `none: ${routing.why}`)]
      : [...byLines(routing.by), ...routing.routes.flatMap(routeLines), ...deniedLines(routing.denied)]),
    `=> ${outcome(report)}`,
  ];
}

const row = (name: string, text: string): string => `  ${name.padEnd(9)}${text}`;

const verdict = (decision: Decision): string =>
  decision.verdict === 'allow' ? 'allowed' : `denied, ${FAILURES[decision.code].status} (${decision.rule})`;

function identityText(identity: WhyReport['identity']): string {
  switch (identity.at) {
    case 'known':
      return identity.principal.scheme === 'none' ? 'anyone; no login is required' : identity.principal.name;
    case 'asked':
      return `login required: ${identity.challenge}`;
    case 'refused':
      return `refused: ${identity.why}`;
  }
}

/** The target itself, where the guard can judge it and an upstream proxy would reach it. */
const deniedLines = (denied: DeniedTarget | undefined): string[] =>
  denied === undefined ? [] : [row('target', `${denied.address}: ${verdict(denied.decision)}`)];

/** What decided about the route; nothing where no route is configured. */
function byLines(by: RouteSource): string[] {
  switch (by.kind) {
    // Its own line says so.
    case 'mode':
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

const modeText = ({ mode, until }: NonNullable<WhyReport['mode']>): string =>
  `${mode}, set by viaduct mode, until ${until === undefined ? 'a reload or restart' : until}`;

function pacLines({ source, ageMs, result, failure, unread, calls, ms }: PacRouting): string[] {
  return [
    row('pac', ageMs === undefined ? source : `${source}, read ${durationText(ageMs)} ago`),
    ...calls.map(({ helper, args, result, ms: tookMs }) =>
      row('', `${helper}(${args.map(printed).join(', ')}) = ${printed(result)}  ${tookMs.toFixed(1)} ms`),
    ),
    ...(result === undefined ? [] : [row('', `answered ${printed(result)} in ${ms.toFixed(1)} ms`)]),
    ...(unread === undefined ? [] : [row('', unread)]),
    ...(failure === undefined ? [] : [row('', `failed: ${failure}`)]),
  ];
}

const printed = (value: unknown): string => JSON.stringify(value) ?? String(value);

function routeLines({ route, downMs, addresses, accounts }: RouteReport): string[] {
  const down = downMs === undefined ? '' : `, marked down for ${durationText(downMs)}`;
  return [
    row('route', `${routeText(route)}${down}`),
    ...accounts.map(({ hop, account }) => row('account', accountText(account, route, hop))),
    ...(addresses.at === 'nowhere' ? [row('address', 'port 0: it cannot be reached, and nothing is sent')] : []),
    ...(addresses.at === 'failed' ? [row('address', addresses.why)] : []),
    ...(addresses.at === 'found'
      ? addresses.judged.map((one, at) => row(at === 0 ? 'address' : '', `${one.address}: ${verdict(one.decision)}`))
      : []),
  ];
}

/** The account that a proxy would get if it required a login. In a chain the proxy is named. */
function accountText(account: UpstreamAccountSummary, route: Route, hop: Hop): string {
  const at = route.via === 'proxies' && route.hops.length > 1 ? `at ${formatHop(hop)}: ` : '';
  if (account.at === 'withheld') return `${at}none: ${account.clientDetail}`;
  if (account.at === 'failed') return `${at}none: ${account.why}`;
  const { user, source, missing, schemes, basic, isRejected, ticketsUntil } = account;
  const others = basic === undefined ? '' : `; in basic ${basic.user} (${basic.source})`;
  if (user === undefined) {
    const none = missing === undefined ? 'none' : `none: ${missing}`;
    const ticket = schemes.includes('negotiate') ? 'a Kerberos ticket, if there is one' : none;
    return `${at}${ticketsUntil === undefined ? ticket : `a Kerberos ticket${until(ticketsUntil)}`}${others}`;
  }
  const rejected = isRejected ? '; rejected there, and not sent again until it changes' : '';
  const ticket = ticketsUntil === undefined ? '' : `; a Kerberos ticket${until(ticketsUntil)}`;
  return `${at}${user} (${source}), by ${schemes.join(', ')}${others}${ticket}${rejected}`;
}

const until = (date: Date): string => `, good until ${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/** The first check that would refuse it, in the order of the proxy. */
function outcome({ identity, decision, routing }: WhyReport): string {
  if (identity.at === 'refused') return 'refused with 403';
  if (identity.at === 'asked') return 'refused with 407 without a password; use --as USER to see what a user may do';
  if (decision.verdict === 'deny') return `refused with ${FAILURES[decision.code].status}`;
  if (routing.at === 'failed') return `fails with ${FAILURES[routing.code].status}: ${routing.why}`;
  if (routing.denied !== undefined) return `refused with ${FAILURES[routing.denied.decision.code].status}`;
  // Proxies that are marked down come last, as when a request is sent.
  const open = routing.routes.filter(({ addresses }) => addresses.at !== 'nowhere');
  if (open.length < routing.routes.length && open.length === 0) return 'fails with 502: port 0 blocks it';
  const routes = open.sort((one, other) => Number(one.downMs !== undefined) - Number(other.downMs !== undefined));
  const [only, ...others] = routes;
  if (only === undefined) return 'fails with 502: no route';
  if (others.length === 0) return outcomeOf(only);
  const first = routes.find(({ addresses }) => addresses.at === 'found') ?? only;
  return first.addresses.at === 'found' && !isDenied(first)
    ? `would be tried by ${routeText(first.route)} first`
    : outcomeOf(first);
}

function outcomeOf({ addresses, route }: RouteReport): string {
  const what = route.via === 'direct' ? 'the name' : 'the name of the proxy';
  if (addresses.at !== 'found') return `fails with 502: ${what} is not resolved`;
  if (addresses.judged.some((one) => one.decision.verdict === 'allow'))
    return route.via === 'direct' ? 'would be served' : `would be sent to ${routeText(route)}`;
  const denied = addresses.judged.find((one) => one.decision.verdict === 'deny')?.decision;
  return denied?.verdict === 'deny' ? `refused with ${FAILURES[denied.code].status}` : 'fails with 502: no address';
}

const isDenied = ({ addresses }: RouteReport): boolean =>
  addresses.at === 'found' && !addresses.judged.some(({ decision }) => decision.verdict === 'allow');
