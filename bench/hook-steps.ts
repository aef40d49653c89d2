import type { TunnelRequest } from '../src/contracts/request.ts';
import type { AdmittedRequest, Principal } from '../src/contracts/stages.ts';
import { hookAuthenticator } from '../src/identity/hook.ts';
import { HookBudgets } from '../src/limits/hook.ts';
import { ownTunnel } from '../src/pipeline/tunnel-hook.ts';
import { hookPolicy } from '../src/policy/hook.ts';
import { hookRouter } from '../src/routing/hook.ts';
import { systemClock } from '../src/util/clock.ts';
import { Stop } from '../src/util/stop.ts';

export type Step = (from: AdmittedRequest<TunnelRequest>) => unknown;

const LOGIN = `Basic ${Buffer.from('ann:secret').toString('base64')}`;
const ann: Principal = { name: 'ann', scheme: 'basic' };

/** One CONNECT with a login, as the pipeline has it when it asks hooks. */
export function connectWithLogin(at: number): AdmittedRequest<TunnelRequest> {
  const request: TunnelRequest = {
    id: `a-${at}`,
    kind: 'tunnel',
    method: 'CONNECT',
    requestTarget: 'a.example:443',
    target: { host: 'a.example', port: 443 },
    protocol: 'http/1.1',
    headers: [
      ['Host', 'a.example:443'],
      ['Proxy-Authorization', LOGIN],
    ],
    credentials: { kind: 'authorization', values: [LOGIN] },
    client: { address: '127.0.0.1', port: 1, listener: 'http://127.0.0.1:3128' },
    signal: new Stop(),
    startedMs: 0,
  };
  const permit = { limits: [], [Symbol.dispose]: () => undefined };
  return { request, principal: ann, decision: { verdict: 'allow', rule: 'default' }, permit };
}

/** One call of each hook, each of which uses its context as programs do. */
export function steps(): readonly Step[] {
  const authenticator = hookAuthenticator((ctx) => {
    ctx.state.user = ctx.username;
    return ctx.password === 'secret' ? { id: ctx.username } : null;
  });
  const policy = hookPolicy((ctx) => (ctx.target.port === 443 && ctx.state.user ? ctx.allow() : ctx.deny()));
  const router = hookRouter(async (ctx) => (ctx.state.user ? ['http://p.example:8080', 'direct'] : 'direct'));
  const budgets = new HookBudgets(
    systemClock,
    (ctx) => ({ down: [{ key: `user ${ctx.user?.id}`, rate: '2MiB' }] }),
    () => undefined,
  );
  return [
    (from) => authenticator.identify(from),
    (from) => policy.decide(from),
    async (from) => {
      using _held = await budgets.budgetsFor(from);
    },
    ({ request, ...from }) => ownTunnel(() => undefined, { request, ...from }, systemClock),
    (from) => router.route(from),
  ];
}
