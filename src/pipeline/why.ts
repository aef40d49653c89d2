import type { Challenge } from '../core/contracts.ts';
import { asProxyError } from '../core/failure.ts';
import type { ProxyRequest } from '../core/request.ts';
import type { Decision, Identified, Permit, Principal, Routing } from '../core/stages.ts';
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
  readonly addresses:
    | { readonly at: 'found'; readonly judged: readonly { readonly address: string; readonly decision: Decision }[] }
    | { readonly at: 'failed'; readonly why: string };
  readonly routing: Routing;
}

const NO_PERMIT: Permit = { limits: [], [Symbol.dispose]() {} };

export async function why(request: ProxyRequest, asker: Asker, rooms: Rooms): Promise<WhyReport> {
  const { target, kind, client } = request;
  const identity = await whoAsks(request, asker, rooms);
  const principal: Principal =
    identity.at === 'known' ? identity.principal : { name: asker.user ?? '', scheme: asker.user ? 'basic' : 'none' };
  const identified: Identified = { request, principal };
  const decision = await rooms.policy.decide(identified);
  const routing = await rooms.router.route({
    ...identified,
    decision: { verdict: 'allow', rule: decision.rule },
    permit: NO_PERMIT,
  });
  return {
    target,
    kind,
    client: client.address,
    identity,
    decision,
    limits: rooms.limiter.namesFor(identified),
    addresses: await judgedAddresses(request, rooms),
    routing,
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

async function judgedAddresses({ target, signal }: ProxyRequest, rooms: Rooms): Promise<WhyReport['addresses']> {
  try {
    const addresses = await rooms.resolver.resolve(target.host, signal);
    const judged = addresses.map((address) => ({ address, decision: rooms.guard.check(address, target.port) }));
    return { at: 'found', judged };
  } catch (error) {
    return { at: 'failed', why: asProxyError(error).detail };
  }
}
