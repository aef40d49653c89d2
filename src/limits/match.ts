import { hostPattern } from '../protocol/host-pattern.ts';
import { type Cidr, CidrSet, parseCidr } from '../protocol/ip-address.ts';
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
    const wanted = new CidrSet(clients.map(blockOf));
    needs.push(({ address }) => address !== undefined && wanted.has(address));
  }
  if (hosts) {
    const wanted = hosts.map(hostPattern);
    needs.push(({ host }) => wanted.some((isMeant) => isMeant(host)));
  }
  return (subject) => needs.every((fits) => fits(subject));
}

function blockOf(text: string): Cidr {
  const block = parseCidr(text);
  if (!block) throw new Error(`${JSON.stringify(text)} is not an address or a block`);
  return block;
}
