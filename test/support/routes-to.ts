import type { Route } from '../../src/contracts/stages.ts';
import { parseProxyUrl } from '../../src/protocol/routes/proxy-url.ts';
import { ProxyUnderTest } from './proxy-under-test.ts';

/** A proxy whose every request has these routes: `direct`, or the URL of an upstream proxy; in this order. */
export function proxyByRoutes(
  ways: readonly string[],
  config: Parameters<typeof ProxyUnderTest.start>[0] = {},
): Promise<ProxyUnderTest> {
  const routes = ways.map(
    (way): Route => (way === 'direct' ? { via: 'direct' } : { via: 'proxies', hops: [parseProxyUrl(way, 'user')] }),
  );
  return ProxyUnderTest.start(config, { overrides: { router: { route: () => ({ routes, by: { kind: 'proxy' } }) } } });
}
