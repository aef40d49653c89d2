import type { LimitState, StoreState } from '../limits/limit-state.ts';
import { parseRate } from '../settings/units.ts';
import { AdminError, badRequest, notFound } from './admin-error.ts';
import type { ApiDeps } from './api-deps.ts';
import { audit } from './audit.ts';
import type { ControlledProxy } from './controlled-proxy.ts';
import { member } from './read-json.ts';
import type { Route } from './routes.ts';

/** A limit, and what is counted under it. */
export interface ShownLimit {
  readonly name: string;
  readonly kind: LimitState['kind'];
  readonly per: string;
  /** Bytes, or requests, per second. */
  readonly rate?: number | undefined;
  readonly burst?: number | undefined;
  readonly direction?: string;
  readonly priority?: string;
  /** Open requests, or budgets in use, that it counts now. */
  readonly active: number;
  readonly waiting: number;
  /** Of its maximum: of `per: client` and the like, what the one has used that has used most. */
  readonly used?: number;
  readonly max?: number;
  /** `used` of `max`. */
  readonly level?: number;
  /** Bytes that have passed under it. */
  readonly bytes?: number;
  readonly refused?: number;
}

export function limitRoutes({ proxy, observe }: ApiDeps): Route[] {
  return [
    {
      method: 'GET',
      path: '/api/limits',
      purpose: 'api',
      run: async () => ({ status: 200, json: await shownLimits(proxy) }),
    },
    {
      method: 'PUT',
      path: '/api/limits/{name}',
      purpose: 'api',
      async run({ param, body, from }) {
        const name = param('name');
        const rate = rateIn(member(body, 'rate'));
        const before = (await proxy.limits()).find((limit) => limit.name === name);
        if (before === undefined) throw notFound('There is no limit of that name; GET /api/limits lists them.');
        if (!(await proxy.setRate(name, rate))) {
          throw new AdminError(409, 'no_rate', 'Only a bandwidth limit with a rate takes another; change the file.');
        }
        audit(observe, `set the rate of the limit ${JSON.stringify(name)} to ${rate} bytes per second`, from);
        const after = (await proxy.limits()).find((limit) => limit.name === name) ?? before;
        return { status: 200, json: shownLimit(after) };
      },
    },
  ];
}

/** What is shown of the store that other instances count the same limits in. */
interface ShownStore extends Omit<StoreState, 'isUp'> {
  readonly up: boolean;
}

async function shownLimits(
  proxy: ControlledProxy,
): Promise<{ readonly limits: readonly ShownLimit[]; readonly store?: ShownStore }> {
  const limits = (await proxy.limits()).map(shownLimit);
  if (proxy.limitStore === undefined) return { limits };
  const { isUp: up, ...rest } = proxy.limitStore;
  return { limits, store: { up, ...rest } };
}

function rateIn(value: unknown): number {
  if (typeof value !== 'string' && typeof value !== 'number') throw badRequest('"rate" must be a number or a text.');
  try {
    return parseRate(value);
  } catch (error) {
    throw badRequest(`"rate" ${error instanceof Error ? error.message : error}`);
  }
}

function shownLimit(state: LimitState): ShownLimit {
  const { name, kind, per } = state;
  switch (state.kind) {
    case 'bandwidth': {
      const { rate, direction, priority, users, waiting, bytes } = state;
      return { name, kind, per, rate, direction, priority, active: users, waiting, bytes };
    }
    case 'tunnels': {
      const { open, waiting, max, refused } = state;
      // The maximum of `per: client` is that of each, and `open` is of all.
      const filled = per === 'proxy' ? { used: open, level: open / max } : {};
      return { name, kind, per, active: open, waiting, max, refused, ...filled };
    }
    case 'requests': {
      const { rate, burst, users, refused } = state;
      return { name, kind, per, rate, burst, active: users, waiting: 0, refused };
    }
    case 'quota': {
      const { users, refused } = state;
      const [used, max] = [Number(users[0]?.used ?? 0n), Number(state.max)];
      return { name, kind, per, active: users.length, waiting: 0, used, max, level: used / max, refused };
    }
  }
}
