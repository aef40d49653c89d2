import type { Authority } from '../contracts/request.ts';
import type { Routing } from '../contracts/stages.ts';
import { HostIndex, hostQuery } from '../protocol/matching/host-index.ts';
import { PortSet } from '../protocol/matching/port-set.ts';
import type { Sliced } from '../util/slices.ts';
import type { RouteRule } from './options.ts';

type RuleMatcher = (target: Authority) => Routing | undefined;

/** Finds the routing of the first rule that matches. Ten thousand rules cost as much as one, except patterns with `*`. */
export function* buildRuleMatcher(rules: readonly RouteRule[]): Sliced<RuleMatcher> {
  const index = new HostIndex();
  const compiled: { readonly routing: Routing; readonly ports: PortSet | undefined }[] = [];
  for (const [at, { name, hosts = ['*'], ports, via }] of rules.entries()) {
    // `written`: the owner of an IPv6 address that looks like a translated 10.0.0.1 must not choose the route to it.
    for (const host of hosts) {
      yield;
      index.add(host, at, 'written');
    }
    const routing: Routing = { routes: via, by: { kind: 'rule', rule: name } };
    compiled.push({ routing, ports: ports && new PortSet(ports) });
  }
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
