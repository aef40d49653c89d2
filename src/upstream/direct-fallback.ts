import type { DialScope } from '../contracts/dialing.ts';
import { asProxyError, isUnreachable, ProxyError } from '../contracts/failure.ts';
import type { Hops, Route } from '../contracts/stages.ts';
import type { Clock } from '../util/clock.ts';
import { LruMap } from '../util/lru-map.ts';
import type { RouteAttempt, RouteResult } from './attempts.ts';
import type { Failover } from './failover.ts';
import { nameOf } from './health/proxy-health.ts';

/** Proxies that were found unreachable; as many as their health is known of. */
const PROXIES_MAX = 256;
/** One line a minute is read; one for each request is not. */
const WARN_INTERVAL_MS = 60_000;

type ProxyRoute = Route & { readonly via: 'proxies' };
const isProxyRoute = (route: Route): route is ProxyRoute => route.via === 'proxies';

/**
 * The direct route for when no upstream proxy can be reached (`routes.unreachable: direct`). It differs from the other
 * routes: it neither begins beside a proxy that is slow nor follows one that was reached, since policy has sent the request
 * there.
 */
export class DirectFallback {
  readonly #failover: Failover;
  readonly #clock: Clock;
  /** The generation of the network in which a proxy was unreachable, by its name; it counts while the proxy is down. */
  readonly #unreachable = new LruMap<string, number>(PROXIES_MAX);
  #warnedMs = Number.NEGATIVE_INFINITY;

  constructor(failover: Failover, clock: Clock) {
    this.#failover = failover;
    this.#clock = clock;
  }

  /** As `Failover.first`, with the last route tried only when no proxy of the others can be reached. */
  first<T extends Disposable>(
    routes: readonly Route[],
    within: DialScope,
    attempt: RouteAttempt<T>,
  ): Promise<RouteResult<T>> {
    const last = routes.at(-1);
    if (!isFallback(last)) return this.#failover.first(routes, within, attempt);
    return this.#firstOrDirect(routes.filter(isProxyRoute), last, within, attempt);
  }

  /** The route that `first` begins with. */
  best(routes: readonly Route[]): Route | undefined {
    const last = routes.at(-1);
    const { health } = this.#failover;
    if (!isFallback(last)) return health.byHealth(routes)[0];
    const proxies = routes.filter(isProxyRoute);
    return this.#areUnreachable(proxies) ? last : health.byHealth(proxies)[0];
  }

  async #firstOrDirect<T extends Disposable>(
    proxies: readonly ProxyRoute[],
    direct: Route,
    within: DialScope,
    attempt: RouteAttempt<T>,
  ): Promise<RouteResult<T>> {
    if (this.#areUnreachable(proxies)) return await this.#failover.first([direct], within, attempt);
    const seen = { reached: false, failed: 0 };
    try {
      return await this.#failover.first(proxies, within, this.#recording(attempt, seen));
    } catch (error) {
      if (within.signal.aborted || seen.reached || seen.failed === 0) throw error;
      this.#warn(within, `${asProxyError(error).detail}; requests go direct until one responds (direct_fallback)`);
      return await this.#failover.first([direct], within, attempt);
    }
  }

  /** `attempt`, recording whether any proxy was reached. */
  #recording<T>(attempt: RouteAttempt<T>, seen: { reached: boolean; failed: number }): RouteAttempt<T> {
    return async (route, scope, proxyResponded) => {
      // A proxy that responds with 407 was reached, even if its connection fails afterwards.
      const commit = () => {
        seen.reached = true;
        scope.commit?.();
      };
      try {
        const value = await attempt(route, { ...scope, commit }, proxyResponded);
        if (isProxyRoute(route)) this.#unreachable.delete(nameOf(route.hops));
        return value;
      } catch (error) {
        seen.failed += 1;
        if (!isUnreachable(asProxyError(error).code)) seen.reached = true;
        else if (isProxyRoute(route)) this.#remember(route.hops);
        throw error;
      }
    };
  }

  /** Whether all are known as unreachable. They are probed while they are down: one that responds again is used again. */
  #areUnreachable(proxies: readonly ProxyRoute[]): boolean {
    const { health } = this.#failover;
    const isDown = ({ hops }: ProxyRoute) =>
      this.#unreachable.get(nameOf(hops)) === health.generation && health.downUntilMs(hops) !== undefined;
    return proxies.every(isDown);
  }

  #remember(hops: Hops): void {
    this.#unreachable.set(nameOf(hops), this.#failover.health.generation);
  }

  /** A failure of `first` for the user: it names the setting with which the request would have gone direct. */
  explained(thrown: unknown, routes: readonly Route[], within: DialScope): ProxyError {
    const error = asProxyError(thrown);
    if (!isUnreachable(error.code) || within.signal.aborted) return error;
    if (isFallback(routes.at(-1)) && routes.length > 1) {
      return withDetail(
        error,
        'No upstream proxy could be reached, so the request was tried directly (direct_fallback).',
      );
    }
    if (!routes.every(isProxyRoute)) return error;
    this.#warn(within, `${error.detail}; requests are refused meanwhile; with ${FLAG} they go direct`);
    return withDetail(error, `With ${FLAG} such requests go direct.`);
  }

  #warn({ observe }: DialScope, what: string): void {
    const nowMs = this.#clock.now();
    if (nowMs - this.#warnedMs < WARN_INTERVAL_MS) return;
    this.#warnedMs = nowMs;
    observe({ type: 'notice', level: 'warn', message: `no upstream proxy can be reached: ${what}` });
  }
}

const FLAG = '--direct-fallback (routes.unreachable: direct)';

const isFallback = (route: Route | undefined): route is Route => route?.via === 'direct' && route.isFallback === true;

function withDetail(error: ProxyError, addition: string): ProxyError {
  const { code, detail, fault, clientMessage, headers } = error;
  const clientDetail = error.clientDetail === undefined ? addition : `${error.clientDetail} ${addition}`;
  return new ProxyError(code, detail, {
    cause: error,
    clientDetail,
    fault,
    clientMessage,
    headers,
  });
}
