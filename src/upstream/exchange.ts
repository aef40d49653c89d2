import type { DialScope, Exchange, OriginReply, Outgoing } from '../core/contracts.ts';
import { FAILURES, ProxyError } from '../core/failure.ts';
import type { Authority } from '../core/request.ts';
import type { Connection, Hop, Hops, Route } from '../core/stages.ts';
import { formatAuthority } from '../protocol/authority.ts';
import type { HeadLimits } from '../protocol/head-buffer.ts';
import { formatHop } from '../protocol/proxy-url.ts';
import type { Failover } from './failover.ts';
import type { Paths } from './paths.ts';
import { Patience } from './patience.ts';
import type { IdlePool } from './pool.ts';
import { type HeadFaults, ORIGIN_FAULTS, PARENT_FAULTS, type ReadHead, readHead } from './read-head.ts';
import { receivedReply } from './received-reply.ts';
import { writeRequest } from './write-request.ts';

/** Methods that ask for nothing to happen (RFC 9110 §9.2.1): two routes may be asked at the same time. */
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);
/** Methods that one recipient may be asked twice, one after the other (RFC 9110 §9.2.2). */
const IDEMPOTENT = new Set([...SAFE, 'PUT', 'DELETE']);
/** Interim answers before the final one; an origin that sends more keeps the client waiting for nothing. */
const INTERIM_MAX = 32;

/** Of a proxy that reads the request itself: a head that is too large was made by the origin behind it. */
const READER_FAULTS: HeadFaults = { ...PARENT_FAULTS, tooLarge: ORIGIN_FAULTS.tooLarge };

export interface ExchangeOptions {
  readonly paths: Paths;
  readonly failover: Failover;
  readonly pool: IdlePool;
  readonly limits: HeadLimits;
  /** From the end of the request to the end of the response head, in milliseconds. */
  readonly headMs: number;
}

/** A connection on which one request is about to be written. */
interface Line extends Disposable {
  readonly route: Route;
  readonly connection: Connection;
  /** The proxy that reads the request; `undefined`: the origin does. */
  readonly parent: Hop | undefined;
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
    // A byte may have left: this line, and no other.
    const { value } = await failover.first([line.route], within, () => this.#over(line, outgoing, within));
    return value;
  }

  async #along(route: Route, outgoing: Outgoing, within: DialScope, isTargets: () => void): Promise<OriginReply> {
    const pooled = await this.#overPooled(route, outgoing, within, isTargets);
    if (pooled !== undefined) return pooled;
    const line = await this.#open(route, outgoing, within);
    if (route.via === 'direct') isTargets();
    return await this.#over(line, outgoing, within);
  }

  async #open(route: Route, { target }: Outgoing, within: DialScope): Promise<Line> {
    const { connection, reader } = await this.#options.paths.approach(route, target, within);
    return lineOf(route, connection, reader === 'proxy');
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
    const line = mayRepeat(outgoing) ? this.#takePooled(route, outgoing, within) : undefined;
    if (line === undefined) return undefined;
    if (route.via === 'direct') isTargets();
    try {
      return await this.#over(line, outgoing, within);
    } catch (error) {
      const isStale =
        error instanceof ProxyError && (error.code === 'reset_before_head' || error.code === 'parent_closed');
      if (!isStale || within.signal.aborted) throw error;
      return undefined;
    }
  }

  /** A connection may have been opened under another configuration: its address is judged again. */
  #takePooled(route: Route, { target }: Outgoing, { guard }: DialScope): Line | undefined {
    const connection = this.#options.pool.take(poolKey(route, target));
    if (connection?.address === undefined) return undefined;
    const hop = route.via === 'direct' ? undefined : route.hops[0];
    const { port } = hop?.proxy ?? target;
    const { verdict } =
      hop?.namedBy === 'user' ? guard.checkConfigured(connection.address, port) : guard.check(connection.address, port);
    if (verdict === 'allow') return lineOf(route, connection, readsItself(route));
    connection[Symbol.dispose]();
    return undefined;
  }

  /** Owns the connection until it is part of a reply. */
  async #over(line: Line, outgoing: Outgoing, within: DialScope): Promise<OriginReply> {
    const { pool, headMs } = this.#options;
    const { connection, route, parent } = line;
    let handedOver = false;
    using patience = new Patience(within.signal, headMs, parent === undefined ? 'origin_silent' : 'parent_silent');
    try {
      const sent = writeRequest(connection, parent, outgoing, within, patience);
      const answer = await this.#finalHead(line, outgoing, within, patience);
      if (parent !== undefined && answer.head.status === FAILURES.credentials_required.status)
        throw wantsToKnow(parent);
      const keep = () => pool.put(poolKey(route, outgoing.target), connection);
      const reply = receivedReply({ connection, route, sent, keep }, outgoing, answer);
      handedOver = true;
      return reply;
    } finally {
      if (!handedOver) connection[Symbol.dispose]();
    }
  }

  async #finalHead(
    { connection, route, parent }: Line,
    outgoing: Outgoing,
    { id, tap }: DialScope,
    patience: Patience,
  ): Promise<ReadHead> {
    const { failover, limits } = this.#options;
    const faults = parent === undefined ? ORIGIN_FAULTS : READER_FAULTS;
    let rest = connection.early;
    for (let seen = 0; seen <= INTERIM_MAX; seen++) {
      const read = await readHead(connection.wire, rest, limits, faults, patience);
      if (route.via === 'proxies') failover.health.answered(route.hops);
      tap?.({ type: 'wire', id, hop: 'upstream', sent: 'by-peer', head: read.text });
      if (read.head.status >= 200 || read.head.status === 101) return read;
      outgoing.inform(read.head);
      if (outgoing.body !== undefined && !outgoing.body.complete) patience.pause();
      ({ rest } = read);
    }
    throw new ProxyError('origin_protocol', `more than ${INTERIM_MAX} interim answers`);
  }
}

const mayRepeat = ({ method, body, upgrade }: Outgoing): boolean =>
  IDEMPOTENT.has(method) && body === undefined && upgrade === undefined;

const lastOf = (hops: Hops): Hop => hops.at(-1) ?? hops[0];

/** As Paths.approach has it: whoever comes last and speaks HTTP reads the request. */
const readsItself = (route: Route): boolean => route.via === 'proxies' && lastOf(route.hops).scheme.startsWith('http');

const lineOf = (route: Route, connection: Connection, isReadByProxy: boolean): Line => ({
  route,
  connection,
  parent: isReadByProxy && route.via === 'proxies' ? lastOf(route.hops) : undefined,
  [Symbol.dispose]: () => connection[Symbol.dispose](),
});

/** What makes two idle connections interchangeable. A proxy that reads requests takes those for any target. */
function poolKey(route: Route, target: Authority): string {
  if (route.via === 'direct') return formatAuthority(target);
  const hops = route.hops.map((hop) => `${formatHop(hop)} ${hop.login?.user ?? ''}`).join(' > ');
  return readsItself(route) ? hops : `${hops} > ${formatAuthority(target)}`;
}

/** The proxy's challenge is for us: a client that were shown it would tell its own password to somebody else. */
const wantsToKnow = (parent: Hop): ProxyError =>
  new ProxyError('proxy_auth_failed', `${formatHop(parent)} answered 407`, {
    told: `It is the proxy ${formatHop(parent)}.`,
  });
