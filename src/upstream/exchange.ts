import type { DialScope, Exchange, OriginReply, Outgoing } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { Route } from '../core/stages.ts';
import type { HeadLimits } from '../protocol/head-buffer.ts';
import type { UpstreamAuth } from './auth/upstream-auth.ts';
import type { Failover } from './failover.ts';
import { type Line, lineOf, poolKey, readerOf } from './line.ts';
import { askFirst, exchangeOver, type TalkOptions } from './over-line.ts';
import type { Paths } from './paths.ts';
import type { IdlePool } from './pool.ts';

/** Methods that ask for nothing to happen (RFC 9110 §9.2.1): two routes may be asked at the same time. */
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);
/** Methods that one recipient may be asked twice, one after the other (RFC 9110 §9.2.2). */
const IDEMPOTENT = new Set([...SAFE, 'PUT', 'DELETE']);
/**
 * A connection that is logged on may carry what cannot be sent twice as long as it was used so recently: no proxy closes
 * one that soon, and a logon for each POST would be one more for the domain's controller.
 */
const JUST_USED_MS = 2_000;

export interface ExchangeOptions {
  readonly paths: Paths;
  readonly failover: Failover;
  readonly auth: Pick<UpstreamAuth, 'visit'>;
  readonly pool: IdlePool;
  readonly limits: HeadLimits;
  /** From the end of the request to the end of the response head, in milliseconds. */
  readonly headMs: number;
}

/** Plain HTTP along routes: one request out, one answer back, over a connection that may serve another afterwards. */
export class RouteExchange implements Exchange {
  readonly #options: ExchangeOptions;

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  /** A safe request without a body is tried along the next route until a head has come; any other while it is unsent. */
  async send(outgoing: Outgoing, routes: readonly Route[], within: DialScope): Promise<OriginReply> {
    const { failover } = this.#options;
    if (mayRepeat(outgoing) && SAFE.has(outgoing.method)) {
      const { value } = await failover.first(routes, within, (route, scope, isTargets) =>
        this.#along(route, outgoing, scope, isTargets),
      );
      return value;
    }
    const [best] = failover.health.inOrder(routes);
    const pooled = best && (await this.#overPooled(best, outgoing, within));
    if (pooled !== undefined) return pooled;
    const { value: line } = await failover.first(routes, within, (route, scope) => this.#open(route, outgoing, scope));
    try {
      // A byte may have left: this line, and no other.
      const { value } = await failover.first([line.route], within, () => this.#over(line, outgoing, within));
      return value;
    } catch (error) {
      // The client may have gone before it was even tried.
      line[Symbol.dispose]();
      throw error;
    }
  }

  async #along(route: Route, outgoing: Outgoing, within: DialScope, isTargets: () => void): Promise<OriginReply> {
    const pooled = await this.#overPooled(route, outgoing, within, isTargets);
    if (pooled !== undefined) return pooled;
    const line = await this.#open(route, outgoing, within);
    if (route.via === 'direct') isTargets();
    return await this.#over(line, outgoing, within);
  }

  /** Opens a line, and for a body finds out who we are to say there: until then, nothing of the request has been sent. */
  async #open(route: Route, outgoing: Outgoing, within: DialScope): Promise<Line> {
    const { auth, paths, pool } = this.#options;
    const { epoch } = pool;
    const hop = readerOf(route);
    if (hop === undefined) {
      return lineOf(route, (await paths.approach(route, outgoing.target, within)).connection, undefined, epoch);
    }
    const visit = await auth.visit(hop);
    const introduction = visit.introduce(within, 'free');
    try {
      // Whoever waits for another's logon keeps no connection open meanwhile.
      await introduction.begin();
      const { connection } = await paths.approach(route, outgoing.target, within);
      const line = lineOf(route, connection, { hop, visit, introduction }, epoch);
      return outgoing.body === undefined
        ? line
        : await askFirst(line, outgoing, within, this.#talkOptions(line, outgoing, within));
    } catch (error) {
      introduction[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * The other side may be closing an idle connection right now: a request that can be sent again takes that risk, any
   * other gets a fresh connection. `undefined`: there was no connection, or it was closed without a byte of an answer.
   */
  async #overPooled(
    route: Route,
    outgoing: Outgoing,
    within: DialScope,
    isTargets: () => void = () => undefined,
  ): Promise<OriginReply | undefined> {
    const line = await this.#takePooled(route, outgoing, within);
    if (line === undefined) return undefined;
    if (route.via === 'direct') isTargets();
    try {
      return await this.#over(line, outgoing, within);
    } catch (error) {
      const isStale =
        error instanceof ProxyError && (error.code === 'reset_before_head' || error.code === 'parent_closed');
      if (!isStale || within.signal.aborted || !mayRepeat(outgoing)) throw error;
      return undefined;
    }
  }

  /** A connection may have been opened under another configuration: its address is judged again. */
  async #takePooled(route: Route, outgoing: Outgoing, within: DialScope): Promise<Line | undefined> {
    const { pool, auth } = this.#options;
    const { guard } = within;
    const { target, upgrade } = outgoing;
    const reader = readerOf(route);
    const repeats = mayRepeat(outgoing);
    if (upgrade !== undefined || (reader === undefined && !repeats)) return undefined;
    const visit = reader && (await auth.visit(reader));
    const standing = visit?.wantsBound ? 'bound' : 'free';
    if (!repeats && standing === 'free') return undefined;
    const connection = pool.take(poolKey(route, target, visit, standing), repeats ? undefined : JUST_USED_MS);
    if (connection?.address === undefined) return undefined;
    const hop = route.via === 'direct' ? undefined : route.hops[0];
    const { port } = hop?.proxy ?? target;
    const { verdict } =
      hop?.namedBy === 'user' ? guard.checkConfigured(connection.address, port) : guard.check(connection.address, port);
    if (verdict === 'allow') {
      const parent = reader && visit && { hop: reader, visit, introduction: visit.introduce(within, standing) };
      return lineOf(route, connection, parent, pool.epoch);
    }
    connection[Symbol.dispose]();
    return undefined;
  }

  async #over(line: Line, outgoing: Outgoing, within: DialScope): Promise<OriginReply> {
    using _introduction = line.parent?.introduction;
    return await exchangeOver(line, outgoing, within, this.#talkOptions(line, outgoing, within));
  }

  #talkOptions({ route, parent, epoch }: Line, { target }: Outgoing, within: DialScope): TalkOptions {
    const { pool, paths, failover, limits, headMs } = this.#options;
    return {
      health: failover.health,
      limits,
      headMs,
      keep(connection, standing) {
        if (standing === 'spoilt') connection[Symbol.dispose]();
        else pool.put(poolKey(route, target, parent?.visit, standing), connection, epoch);
      },
      reach: async () => (await paths.approach(route, target, within)).connection,
    };
  }
}

const mayRepeat = ({ method, body, upgrade }: Outgoing): boolean =>
  IDEMPOTENT.has(method) && body === undefined && upgrade === undefined;
