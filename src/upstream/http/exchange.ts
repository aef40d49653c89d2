import type { DialScope } from '../../contracts/dialing.ts';
import type { Exchange, OriginResponse, OutgoingRequest } from '../../contracts/exchange.ts';
import { isClosedWithoutResponse, ProxyError } from '../../contracts/failure.ts';
import type { Connection, Hop, Route } from '../../contracts/stages.ts';
import type { HeadLimits } from '../../protocol/http1/head-buffer.ts';
import type { UpstreamAuth } from '../../upstream-auth/upstream-auth.ts';
import { andThen, type MaybeAsync } from '../../util/maybe-async.ts';
import type { RouteDialer } from '../dial/route-dialer.ts';
import type { DirectFallback } from '../direct-fallback.ts';
import type { Failover } from '../failover.ts';
import { isAuthenticated } from './dedicated-connection.ts';
import { DedicatedConnections } from './dedicated-connections.ts';
import type { IdlePool } from './idle-pool.ts';
import { authenticateBeforeBody, type SendOptions, sendRequest } from './send-request.ts';
import { isReusable, isStillAllowed, poolKey, readerOf, UpstreamConnection } from './upstream-connection.ts';

/** Safe methods (RFC 9110 §9.2.1): a request may be sent along two routes at the same time. */
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);
/** Idempotent methods (RFC 9110 §9.2.2): a request may be sent to one recipient twice, one after the other. */
const IDEMPOTENT = new Set([...SAFE, 'PUT', 'DELETE']);
/**
 * An authenticated connection may carry what cannot be sent twice if it was used so recently: no proxy closes one that
 * soon, and a login for each POST would be one more for the domain controller.
 */
const JUST_USED_MS = 2_000;

export interface ExchangeOptions {
  readonly dialer: Pick<RouteDialer, 'connectForRequest'>;
  readonly failover: Failover;
  readonly fallback: Pick<DirectFallback, 'first' | 'best' | 'explained'>;
  readonly auth: Pick<UpstreamAuth, 'contextFor'>;
  readonly pool: IdlePool;
  readonly limits: HeadLimits;
  /** From the end of the request to the end of the response head, in milliseconds. */
  readonly headMs: number;
}

/** Plain HTTP along routes: one request and its response, over a connection that may serve another afterwards. */
export class RouteExchange implements Exchange {
  readonly #options: ExchangeOptions;
  readonly #dedicated: DedicatedConnections;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#dedicated = new DedicatedConnections(options);
  }

  /** A safe request without a body is tried along the next route until a head has come; any other while it is unsent. */
  async send(outgoing: OutgoingRequest, routes: readonly Route[], within: DialScope): Promise<OriginResponse> {
    const own = outgoing.originOwner?.owned && (await this.#sendOverDedicated(outgoing, routes, within));
    if (own !== undefined) return own;
    const { fallback } = this.#options;
    try {
      if (!mayRepeat(outgoing) || !SAFE.has(outgoing.method)) return await this.#sendOnce(outgoing, routes, within);
      const first = routes[0];
      // There is nothing to fail over to, and no proxy whose health is to be known.
      if (routes.length === 1 && first?.via === 'direct' && !within.signal.aborted)
        return await this.#sendAlong(first, outgoing, within, () => undefined);
      const { value } = await fallback.first(routes, within, (route, scope, proxyResponded) =>
        this.#sendAlong(route, outgoing, scope, proxyResponded),
      );
      return value;
    } catch (error) {
      throw fallback.explained(error, routes, within);
    }
  }

  async #sendOnce(outgoing: OutgoingRequest, routes: readonly Route[], within: DialScope): Promise<OriginResponse> {
    const { failover, fallback } = this.#options;
    const best = fallback.best(routes);
    const pooled = best && (await this.#sendOverPooled(best, outgoing, within));
    if (pooled !== undefined) return pooled;
    const { value: upstream } = await fallback.first(routes, within, (route, scope) =>
      this.#open(route, outgoing, scope),
    );
    try {
      // A byte may have been sent: only this connection is used.
      const { value } = await failover.first([upstream.route], within, () =>
        this.#sendOver(upstream, outgoing, within),
      );
      return value;
    } catch (error) {
      // The client may have left before it was tried.
      upstream[Symbol.dispose]();
      throw error;
    }
  }

  async #sendAlong(
    route: Route,
    outgoing: OutgoingRequest,
    within: DialScope,
    proxyResponded: () => void,
  ): Promise<OriginResponse> {
    const pooled = await this.#sendOverPooled(route, outgoing, within, proxyResponded);
    if (pooled !== undefined) return pooled;
    const upstream = await this.#open(route, outgoing, within);
    if (route.via === 'direct') proxyResponded();
    return await this.#sendOver(upstream, outgoing, within);
  }

  /** Opens a connection, and authenticates before a body: until then, nothing of the request has been sent. */
  async #open(route: Route, outgoing: OutgoingRequest, within: DialScope): Promise<UpstreamConnection> {
    const { auth, dialer, pool } = this.#options;
    const { epoch } = pool;
    const hop = readerOf(route);
    if (hop === undefined) {
      const { connection } = await dialer.connectForRequest(route, outgoing.target, within);
      outgoing.upstreamBytes?.begin(connection.wire, 'fresh');
      return new UpstreamConnection(route, connection, undefined, epoch);
    }
    const authContext = await auth.contextFor(hop);
    const session = authContext.createSession(within, 'anonymous');
    try {
      // A request that waits for another's login keeps no connection open meanwhile.
      await session.begin();
      const { connection } = await dialer.connectForRequest(route, outgoing.target, within);
      outgoing.upstreamBytes?.begin(connection.wire, 'fresh');
      const upstream = new UpstreamConnection(
        route,
        connection,
        { hop, authContext: authContext, session: session },
        epoch,
      );
      return outgoing.body === undefined
        ? upstream
        : await authenticateBeforeBody(upstream, outgoing, within, this.#sendOptions(upstream, outgoing, within));
    } catch (error) {
      session[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * The other side may be closing an idle connection right now: a request that can be sent again takes that risk, any
   * other gets a fresh connection. `undefined`: there was no connection, or it was closed without a byte of a response.
   */
  async #sendOverPooled(
    route: Route,
    outgoing: OutgoingRequest,
    within: DialScope,
    proxyResponded: () => void = () => undefined,
  ): Promise<OriginResponse | undefined> {
    const taking = this.#takePooled(route, outgoing, within);
    const upstream = taking instanceof Promise ? await taking : taking;
    if (upstream === undefined) return undefined;
    if (route.via === 'direct') proxyResponded();
    try {
      return await this.#sendOver(upstream, outgoing, within);
    } catch (error) {
      if (!isStale(error) || within.signal.aborted || !mayRepeat(outgoing)) throw error;
      return undefined;
    }
  }

  /**
   * On the connection that belongs to the client. Where that turns out to be closed, a request that can be sent again goes
   * out on another one, where the origin asks the client to log on again; any other fails, and ends the client's connection.
   */
  async #sendOverDedicated(
    outgoing: OutgoingRequest,
    routes: readonly Route[],
    within: DialScope,
  ): Promise<OriginResponse | undefined> {
    const upstream = await this.#dedicated.take(outgoing, routes, within);
    if (upstream === undefined) return undefined;
    outgoing.upstreamBytes?.begin(upstream.connection.wire, 'used');
    try {
      const ready =
        outgoing.body &&
        (await authenticateBeforeBody(upstream, outgoing, within, this.#sendOptions(upstream, outgoing, within)));
      return await this.#sendOver(ready ?? upstream, outgoing, within);
    } catch (error) {
      upstream[Symbol.dispose]();
      if (isStale(error) && !within.signal.aborted && mayRepeat(outgoing)) return undefined;
      outgoing.originOwner?.endWithOrigin();
      throw error;
    }
  }

  #takePooled(route: Route, outgoing: OutgoingRequest, within: DialScope): MaybeAsync<UpstreamConnection | undefined> {
    if (outgoing.upgrade !== undefined || !isReusable(route)) return undefined;
    const reader = readerOf(route);
    if (reader !== undefined) return this.#takeToProxy(route, reader, outgoing, within);
    if (!mayRepeat(outgoing)) return undefined;
    const key = poolKey(route, outgoing.target, undefined, 'anonymous');
    return andThen(
      this.#takeIdle(key, undefined, route, outgoing, within),
      (connection) => connection && new UpstreamConnection(route, connection, undefined, this.#options.pool.epoch),
    );
  }

  /** A connection to a proxy that reads the request, in a session of our account there. */
  async #takeToProxy(
    route: Route,
    hop: Hop,
    outgoing: OutgoingRequest,
    within: DialScope,
  ): Promise<UpstreamConnection | undefined> {
    const repeats = mayRepeat(outgoing);
    const authContext = await this.#options.auth.contextFor(hop);
    const connectionState = authContext.wantsAuthenticated ? 'authenticated' : 'anonymous';
    if (!repeats && connectionState === 'anonymous') return undefined;
    const key = poolKey(route, outgoing.target, authContext, connectionState);
    const connection = await this.#takeIdle(key, repeats ? undefined : JUST_USED_MS, route, outgoing, within);
    if (connection === undefined) return undefined;
    const session = authContext.createSession(within, connectionState);
    return new UpstreamConnection(route, connection, { hop, authContext, session }, this.#options.pool.epoch);
  }

  /** An idle connection that may still be used; one that may not is closed. */
  #takeIdle(
    key: string,
    idleMsMax: number | undefined,
    route: Route,
    { owner, target, upstreamBytes }: OutgoingRequest,
    within: DialScope,
  ): MaybeAsync<Connection | undefined> {
    return andThen(this.#options.pool.take(owner, key, idleMsMax), (connection) => {
      if (connection === undefined) return undefined;
      if (isStillAllowed(connection, route, target, within.guard)) {
        upstreamBytes?.begin(connection.wire, 'used');
        return connection;
      }
      connection[Symbol.dispose]();
      return undefined;
    });
  }

  #sendOver(upstream: UpstreamConnection, outgoing: OutgoingRequest, within: DialScope): Promise<OriginResponse> {
    const response = sendRequest(upstream, outgoing, within, this.#sendOptions(upstream, outgoing, within));
    const session = upstream.upstreamProxy?.session;
    return session === undefined ? response : response.finally(() => session[Symbol.dispose]());
  }

  #sendOptions(upstream: UpstreamConnection, outgoing: OutgoingRequest, within: DialScope): SendOptions {
    const { route, upstreamProxy, epoch } = upstream;
    const { owner, target, originOwner, upstreamBytes } = outgoing;
    const { pool, dialer, failover, limits, headMs } = this.#options;
    return {
      health: failover.health,
      limits,
      headMs,
      keep: (connection, connectionState, trust) => {
        upstreamBytes?.end(connection.wire);
        if (connectionState === 'tainted' || !isReusable(route)) connection[Symbol.dispose]();
        else if (!isAuthenticated(connection.wire))
          pool.put(
            owner,
            poolKey(route, target, upstreamProxy?.authContext, connectionState),
            connection,
            epoch,
            trust,
          );
        else if (originOwner !== undefined)
          this.#dedicated.keep(originOwner, connection, upstream, target, connectionState);
        else connection[Symbol.dispose]();
      },
      dialProxy: async () => {
        const { connection } = await dialer.connectForRequest(route, target, within);
        upstreamBytes?.begin(connection.wire, 'fresh');
        return connection;
      },
      repeats: mayRepeat(outgoing) ? 'freely' : 'never',
    };
  }
}

/** The connection was closed without a byte of a response. */
const isStale = (error: unknown): boolean => error instanceof ProxyError && isClosedWithoutResponse(error.code);

const mayRepeat = ({ method, body, upgrade }: OutgoingRequest): boolean =>
  IDEMPOTENT.has(method) && body === undefined && upgrade === undefined;
