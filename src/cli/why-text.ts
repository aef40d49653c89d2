import type { OwnAccount } from '../core/contracts.ts';
import { FAILURES } from '../core/failure.ts';
import type { Decision, Hop, PacRouting, Route, RoutedBy } from '../core/stages.ts';
import { routeText } from '../observe/format-json.ts';
import type { Way, WhyReport } from '../pipeline/why.ts';
import { formatAuthority } from '../protocol/authority.ts';
import { formatHop } from '../protocol/proxy-url.ts';

/** The report for a person: what decided, in the order in which the proxy asks, and what would come of it. */
export function whyLines(report: WhyReport): string[] {
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

function wayLines({ route, sitsOutMs, addresses, accounts }: Way): string[] {
  const rests = sitsOutMs === undefined ? '' : `, sits out for ${spanText(sitsOutMs)}`;
  return [
    row('route', `${routeText(route)}${rests}`),
    ...accounts.map(({ hop, account }) => row('account', accountText(account, route, hop))),
    ...(addresses.at === 'failed' ? [row('address', addresses.why)] : []),
    ...(addresses.at === 'found'
      ? addresses.judged.map((one, at) => row(at === 0 ? 'address' : '', `${one.address}: ${verdict(one.decision)}`))
      : []),
  ];
}

/** Who we would be at a proxy, if it asked. In a chain it is named. */
function accountText(account: OwnAccount, route: Route, hop: Hop): string {
  const at = route.via === 'proxies' && route.hops.length > 1 ? `at ${formatHop(hop)}: ` : '';
  if (account.at === 'withheld') return `${at}none: ${account.told}`;
  if (account.at === 'failed') return `${at}none: ${account.why}`;
  const { user, source, schemes, basic, isRejected, ticketsUntil } = account;
  const others = basic === undefined ? '' : `; in basic ${basic.user} (${basic.source})`;
  if (user === undefined) {
    const ticket = schemes.includes('negotiate') ? 'a Kerberos ticket, if there is one' : 'none';
    return `${at}${ticketsUntil === undefined ? ticket : `a Kerberos ticket${until(ticketsUntil)}`}${others}`;
  }
  const rejected = isRejected ? '; rejected there, and not sent again until it changes' : '';
  const ticket = ticketsUntil === undefined ? '' : `; a Kerberos ticket${until(ticketsUntil)}`;
  return `${at}${user} (${source}), by ${schemes.join(', ')}${others}${ticket}${rejected}`;
}

const until = (date: Date): string => `, good until ${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;

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
