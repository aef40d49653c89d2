import { HostIndex, hostQuery } from '../protocol/host-index.ts';
import { CidrSet, knownCidr } from '../protocol/ip-address.ts';
import type { LimitMatch } from './options.ts';
import type { Subject } from './subject.ts';

export type Matcher = (subject: Subject) => boolean;

/** Whether everything that `match` names fits a request; without `match` everything does. */
export function matcherOf(match: LimitMatch | undefined): Matcher {
  const { hosts, users, clients, ports } = match ?? {};
  const needs: Matcher[] = [];
  if (ports) {
    const wanted = new Set(ports);
    needs.push(({ port }) => wanted.has(port));
  }
  if (users) {
    const wanted = new Set(users);
    needs.push(({ user }) => wanted.has(user));
  }
  if (clients) {
    const wanted = new CidrSet(clients.map(knownCidr));
    needs.push(({ address }) => address !== undefined && wanted.has(address));
  }
  if (hosts) {
    const wanted = new HostIndex();
    for (const host of hosts) wanted.add(host, 0, 'reached');
    needs.push(({ host }) => wanted.matches(hostQuery(host)));
  }
  return (subject) => needs.every((fits) => fits(subject));
}
