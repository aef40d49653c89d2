import type { Authority } from '../core/request.ts';
import type { Routing } from '../core/stages.ts';
import { HostIndex, hostQuery } from '../protocol/host-index.ts';
import { PortSet } from '../protocol/port-set.ts';
import type { RouteRule } from './options.ts';

/** What the first rule that matches says. Ten thousand rules cost as much as one, but for patterns with `*`. */
export function ruleMatcher(rules: readonly RouteRule[]): (target: Authority) => Routing | undefined {
  const index = new HostIndex();
  const compiled = rules.map(({ name, hosts = ['*'], ports, via }, at) => {
    // As written: whoever owns an IPv6 address that looks like a translated 10.0.0.1 does not choose our way there.
    for (const host of hosts) index.add(host, at, 'written');
    const routing: Routing = { routes: via, by: { kind: 'rule', rule: name } };
    return { routing, ports: ports && new PortSet(ports) };
  });
  const holds = (at: number, port: number): boolean => compiled[at]?.ports?.has(port) ?? true;
  if (rules.length === 0) return () => undefined;
  return ({ host, port }) => {
    let first = Number.POSITIVE_INFINITY;
    for (const list of index.find(hostQuery(host))) {
      const at = list.find((one) => holds(one, port));
      if (at !== undefined && at < first) first = at;
    }
    return compiled[first]?.routing;
  };
}
