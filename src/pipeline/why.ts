import type { Challenge, OwnAccount } from '../core/contracts.ts';
import { asProxyError, type FailureCode } from '../core/failure.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { Decision, Hop, Identified, Permit, Principal, Route, RoutedBy } from '../core/stages.ts';
import type { Rooms } from './rooms.ts';

/** Who would ask. */
export interface Asker {
  /** Name of a user whose password is taken for right; `undefined` for a client that says nothing. */
  readonly user: string | undefined;
}

/** What would be decided about a request, and why: the steps of its story without sending anything but DNS queries. */
export interface WhyReport {
  readonly target: ProxyRequest['target'];
  readonly kind: ProxyRequest['kind'];
  readonly client: string;
  readonly identity:
    | { readonly at: 'known'; readonly principal: Principal }
    | { readonly at: 'asked'; readonly challenge: string }
    | { readonly at: 'refused'; readonly why: string };
  readonly decision: Decision;
  readonly limits: readonly string[];
  readonly routing:
    | { readonly at: 'found'; readonly by: RoutedBy; readonly ways: readonly Way[] }
    | { readonly at: 'failed'; readonly code: FailureCode; readonly why: string };
}

/** One route, with what this machine would dial for it. */
export interface Way {
  readonly route: Route;
  /** How much longer its first proxy sits out; `undefined`: it does not. */
  readonly sitsOutMs: number | undefined;
  /** What its proxies would be told about us, if they asked; those that speak HTTP. */
  readonly accounts: readonly { readonly hop: Hop; readonly account: OwnAccount }[];
  readonly addresses:
    | { readonly at: 'found'; readonly judged: readonly { readonly address: string; readonly decision: Decision }[] }
    | { readonly at: 'failed'; readonly why: string };
}

const NO_PERMIT: Permit = { limits: [], [Symbol.dispose]() {} };

export async function why(request: ProxyRequest, asker: Asker, rooms: Rooms): Promise<WhyReport> {
  const { target, kind, client } = request;
  const identity = await whoAsks(request, asker, rooms);
  const principal: Principal =
    identity.at === 'known' ? identity.principal : { name: asker.user ?? '', scheme: asker.user ? 'basic' : 'none' };
  const identified: Identified = { request, principal };
  const decision = await rooms.policy.decide(identified);
  return {
    target,
    kind,
    client: client.address,
    identity,
    decision,
    limits: rooms.limiter.namesFor(identified),
    routing: await routingOf(identified, decision, rooms),
  };
}

async function whoAsks(request: ProxyRequest, { user }: Asker, rooms: Rooms): Promise<WhyReport['identity']> {
  try {
    const answer = await rooms.authenticator.identify({ request });
    if (!isChallenge(answer)) return { at: 'known', principal: answer };
    if (user !== undefined) return { at: 'known', principal: { name: user, scheme: 'basic' } };
    return { at: 'asked', challenge: answer.challenge };
  } catch (error) {
    return { at: 'refused', why: asProxyError(error).detail };
  }
}

const isChallenge = (answer: Principal | Challenge): answer is Challenge => 'challenge' in answer;

async function routingOf(identified: Identified, { rule }: Decision, rooms: Rooms): Promise<WhyReport['routing']> {
  try {
    const admitted = { ...identified, decision: { verdict: 'allow', rule }, permit: NO_PERMIT } as const;
    const { routes, by } = await rooms.router.route(admitted);
    return { at: 'found', by, ways: await Promise.all(routes.map((route) => wayOf(route, identified.request, rooms))) };
  } catch (error) {
    const { code, detail } = asProxyError(error);
    return { at: 'failed', code, why: detail };
  }
}

async function wayOf(route: Route, { target, signal }: ProxyRequest, rooms: Rooms): Promise<Way> {
  const hop = route.via === 'direct' ? undefined : route.hops[0];
  const untilMs = route.via === 'direct' ? undefined : rooms.health.sitsOutUntilMs(route.hops);
  const { host, port } = hop?.proxy ?? target;
  const judge = (address: string) =>
    hop?.namedBy === 'user' ? rooms.guard.checkConfigured(address, port) : rooms.guard.check(address, port);
  const sitsOutMs = untilMs && untilMs - rooms.clock.now();
  const asking = route.via === 'direct' ? [] : route.hops.filter(({ scheme }) => scheme.startsWith('http'));
  const accounts = await Promise.all(
    asking.map(async (hop) => ({ hop, account: await rooms.accounts.ownAccountAt(hop) })),
  );
  try {
    const addresses = await rooms.resolver.resolve(host, signal);
    const judged = addresses.map((address) => ({ address, decision: judge(address) }));
    return { route, sitsOutMs, accounts, addresses: { at: 'found', judged } };
  } catch (error) {
    return { route, sitsOutMs, accounts, addresses: { at: 'failed', why: asProxyError(error).detail } };
  }
}
