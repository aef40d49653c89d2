import { RULE_KINDS } from '../observe/request-counter.ts';
import { TOTALS_BY, TOTALS_WINDOWS } from '../observe/traffic-totals.ts';
import { badRequest } from './admin-error.ts';
import type { ApiDeps } from './api-deps.ts';
import type { NamedRule } from './controlled-proxy.ts';
import type { Route } from './routes.ts';

/** Where requests go, and which rules decided: reading alone. */
export function waysRoutes({ proxy }: ApiDeps): Route[] {
  return [
    {
      method: 'GET',
      path: '/api/upstreams',
      purpose: 'api',
      run: async () => ({ status: 200, json: { upstreams: (await proxy.ways()).upstreams } }),
    },
    {
      method: 'GET',
      path: '/api/pac',
      purpose: 'api',
      run: async () => ({ status: 200, json: (await proxy.ways()).pac }),
    },
    {
      method: 'GET',
      path: '/api/credentials',
      purpose: 'api',
      run: async () => ({ status: 200, json: { accounts: await proxy.accounts() } }),
    },
    {
      method: 'GET',
      path: '/api/totals',
      purpose: 'api',
      async run({ query }) {
        const by = oneOf(TOTALS_BY, query.get('by') ?? 'client', 'by');
        const window = oneOf(TOTALS_WINDOWS, query.get('window') ?? 'hour', 'window');
        return { status: 200, json: { by, window, totals: await proxy.totals(by, window) } };
      },
    },
    {
      method: 'GET',
      path: '/api/rules',
      purpose: 'api',
      async run() {
        const { counts } = await proxy.look('live');
        const hit = RULE_KINDS.flatMap((kind) =>
          Object.entries(counts.rules[kind]).map(([name, { verdict, hits, lastHitMs }]) => {
            return { name, kind, verdict, hits, lastHitAt: new Date(lastHitMs).toISOString() };
          }),
        );
        const isHit = ({ kind, name }: NamedRule) => Object.hasOwn(counts.rules[kind], name);
        const never = proxy.rules.filter((rule) => !isHit(rule)).map((rule) => ({ ...rule, hits: 0 }));
        return { status: 200, json: { rules: [...hit.sort((one, other) => other.hits - one.hits), ...never] } };
      },
    },
  ];
}

function oneOf<T extends string>(known: readonly T[], given: string, name: string): T {
  const found = known.find((one) => one === given);
  if (found === undefined) throw badRequest(`"${name}" must be ${known.join(' or ')}.`);
  return found;
}
