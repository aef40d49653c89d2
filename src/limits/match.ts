import { CidrSet, knownCidr } from '../protocol/addresses/ip-address.ts';
import { HostIndex, hostQuery } from '../protocol/matching/host-index.ts';
import type { Sliced } from '../util/slices.ts';
import type { LimitMatch } from './options.ts';
import type { Subject } from './subject.ts';

export type Matcher = (subject: Subject) => boolean;

/** Whether a request meets all conditions of `match`; without `match` every request does. */
export function* buildMatcher(match: LimitMatch | undefined): Sliced<Matcher> {
  yield;
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
    const wanted = new CidrSet();
    for (const block of clients) {
      yield;
      wanted.add(knownCidr(block));
    }
    needs.push(({ address }) => address !== undefined && wanted.has(address));
  }
  if (hosts) {
    const wanted = new HostIndex();
    for (const host of hosts) {
      yield;
      wanted.add(host, 0, 'reached');
    }
    needs.push(({ host }) => wanted.matches(hostQuery(host)));
  }
  return (subject) => needs.every((fits) => fits(subject));
}
