import type { ShownAccount } from '../admin/controlled-proxy.ts';
import type { Config } from '../config/config.ts';
import type { Hop, Route } from '../contracts/stages.ts';
import type { UpstreamAccounts } from '../contracts/upstream-account.ts';
import { formatHop } from '../protocol/routes/proxy-url.ts';

/** Upstream proxies whose accounts are shown: more do not fit on a page. */
const SHOWN_MAX = 256;

/** What each upstream proxy of the configuration, and each that was used, would get of us if it asked. */
export async function accountsOf(
  { routes, credentials }: Config,
  used: Iterable<readonly Hop[]>,
  accounts: UpstreamAccounts,
): Promise<readonly ShownAccount[]> {
  const hops = new Map<string, Hop>();
  const named = [...routes.proxy, ...routes.rules.flatMap(({ via }) => via)].flatMap(hopsOf);
  for (const hop of [...named, ...[...used].flat()]) {
    if (hops.size >= SHOWN_MAX) break;
    const { user } = hop.login ?? {};
    const key = user === undefined ? formatHop(hop) : `${formatHop(hop)} ${user}`;
    if (!hops.has(key)) hops.set(key, hop);
  }
  const shown = await Promise.all(Array.from(hops.values(), (hop) => shownAccount(hop, accounts)));
  const stored = Object.entries(credentials.accounts).map(([account, { user, domain, from }]): ShownAccount => {
    const name = domain ? `${domain}\\${user ?? ''}` : user;
    return { account, user: name, source: from === undefined ? undefined : originText(from) };
  });
  return [...shown, ...stored];
}

const hopsOf = (route: Route): readonly Hop[] => (route.via === 'direct' ? [] : route.hops);

async function shownAccount(hop: Hop, accounts: UpstreamAccounts): Promise<ShownAccount> {
  const upstream = formatHop(hop);
  if (!hop.scheme.startsWith('http')) {
    return { upstream, user: hop.login?.user, source: hop.login && 'URL of the proxy' };
  }
  const summary = await accounts.summaryAt(hop);
  if (summary.at === 'withheld') return { upstream, problem: summary.clientDetail };
  if (summary.at === 'failed') return { upstream, problem: summary.why };
  const { user, source, missing, schemes, basic, isRejected, ticketsUntil } = summary;
  return {
    upstream,
    user: user ?? basic?.user,
    source: source ?? basic?.source,
    schemes,
    isRejected,
    ticketsUntil: ticketsUntil?.toISOString(),
    ...(missing !== undefined && { problem: missing }),
  };
}

function originText(from: NonNullable<Config['credentials']['accounts'][string]['from']>): string {
  switch (from.kind) {
    case 'env':
      return `env:${from.name}`;
    case 'file':
      return `file:${from.path}`;
    case 'keyring':
    case 'prompt':
      return from.kind;
  }
}
