import type { Connector, DialScope, Exchange, OriginReply, Outgoing } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { Body } from '../core/request.ts';
import type { Connection, Route } from '../core/stages.ts';
import { formatAuthority } from '../protocol/authority.ts';
import { BodyReader } from '../protocol/body-reader.ts';
import { responseFraming } from '../protocol/framing.ts';
import type { HeadLimits } from '../protocol/head-buffer.ts';
import { printFields, tokensOf, valuesOf } from '../protocol/header-list.ts';
import type { ResponseHead } from '../protocol/response-head.ts';
import { Patience } from './patience.ts';
import type { IdlePool } from './pool.ts';
import { ORIGIN_FAULTS, type ReadHead, readHead } from './read-head.ts';

/** Methods that a recipient may be asked twice (RFC 9110 §9.2.2). */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
/** Interim answers before the final one; an origin that sends more keeps the client waiting for nothing. */
const INTERIM_MAX = 32;

const NOTHING = Buffer.alloc(0);

export interface ExchangeOptions {
  readonly connector: Connector;
  readonly pool: IdlePool;
  readonly limits: HeadLimits;
  /** From the end of the request to the end of the response head, in milliseconds. */
  readonly headMs: number;
}

/** Plain HTTP with an origin: one request out, one answer back, over a connection that may serve another afterwards. */
export class OriginExchange implements Exchange {
  readonly #options: ExchangeOptions;

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  async send(outgoing: Outgoing, routes: readonly Route[], within: DialScope): Promise<OriginReply> {
    const key = formatAuthority(outgoing.target);
    // The origin may be closing an idle connection right now. A request that cannot be sent again gets a fresh one.
    const pooled = mayRepeat(outgoing) && mayGo(routes[0]) ? this.#takePooled(key, outgoing, within) : undefined;
    if (pooled !== undefined) {
      try {
        return await this.#over(pooled, { via: 'direct' }, key, outgoing, within);
      } catch (error) {
        if (!(error instanceof ProxyError) || error.code !== 'reset_before_head' || within.signal.aborted) throw error;
      }
    }
    const { route, upstream } = await this.#options.connector.connect(routes, outgoing.target, within);
    return await this.#over(upstream, route, key, outgoing, within);
  }

  /** A connection may have been opened under another configuration: its address is judged again. */
  #takePooled(key: string, { target }: Outgoing, { guard }: DialScope): Connection | undefined {
    const pooled = this.#options.pool.take(key);
    if (pooled?.address === undefined) return undefined;
    if (guard.check(pooled.address, target.port).verdict === 'allow') return pooled;
    pooled[Symbol.dispose]();
    return undefined;
  }

  /** Owns the connection until it is part of a reply. */
  async #over(
    connection: Connection,
    route: Route,
    key: string,
    outgoing: Outgoing,
    within: DialScope,
  ): Promise<OriginReply> {
    let handedOver = false;
    using patience = new Patience(within.signal, this.#options.headMs);
    try {
      const sent = this.#write(connection, outgoing, within, patience);
      const answer = await this.#finalHead(connection, outgoing, within, patience);
      const reply = this.#reply(connection, route, key, outgoing, answer, sent);
      handedOver = true;
      return reply;
    } finally {
      if (!handedOver) connection[Symbol.dispose]();
    }
  }

  /** Resolves when the body has been sent; the answer is not waited for, and may come first. */
  #write(connection: Connection, outgoing: Outgoing, { id, tap }: DialScope, patience: Patience): Promise<number> {
    const head = `${outgoing.method} ${originForm(outgoing.path)} HTTP/1.1\r\n${printFields(outgoing.headers)}`;
    tap?.({ type: 'wire', id, hop: 'upstream', sent: 'by-us', head });
    connection.wire.stream.write(`${head}\r\n`, 'latin1');
    if (outgoing.body === undefined) {
      patience.begin();
      return NOTHING_SENT;
    }
    // A client that waits for a 100 sends nothing until it comes: then it is the origin that is silent.
    if (tokensOf(outgoing.headers, 'expect').length > 0) patience.begin();
    const sent = outgoing.body.sendTo(connection);
    // A body that breaks off also breaks the connection, and whoever reads the answer learns of it there.
    sent.then(
      () => patience.begin(),
      (error) => patience.giveUp(error),
    );
    return sent;
  }

  async #finalHead(
    { wire }: Connection,
    outgoing: Outgoing,
    { id, tap }: DialScope,
    patience: Patience,
  ): Promise<ReadHead> {
    let rest: Buffer = NOTHING;
    for (let seen = 0; seen <= INTERIM_MAX; seen++) {
      const read = await readHead(wire, rest, this.#options.limits, ORIGIN_FAULTS, patience);
      tap?.({ type: 'wire', id, hop: 'upstream', sent: 'by-peer', head: read.text });
      if (read.head.status >= 200 || read.head.status === 101) return read;
      outgoing.inform(read.head);
      if (outgoing.body !== undefined && !outgoing.body.complete) patience.pause();
      ({ rest } = read);
    }
    throw new ProxyError('origin_protocol', `more than ${INTERIM_MAX} interim answers`);
  }

  #reply(
    connection: Connection,
    route: Route,
    key: string,
    outgoing: Outgoing,
    { head, rest }: ReadHead,
    sent: Promise<number>,
  ): OriginReply {
    const common = { head, version: head.version, route, address: connection.address, sent } as const;
    if (head.status === 101) {
      checkUpgrade(head, outgoing);
      const upgraded: Connection = { ...connection, early: rest, [Symbol.dispose]: () => connection[Symbol.dispose]() };
      return { ...common, body: undefined, upgraded, [Symbol.dispose]: () => connection[Symbol.dispose]() };
    }
    /** What came behind the answer, once that is complete. */
    let behind: Buffer | undefined;
    let isReleased = false;
    const release = () => {
      if (isReleased) return;
      isReleased = true;
      // Bytes behind the answer belong to nobody (RFC 9112 §9.2); an unfinished message cannot be followed by another.
      const mayGoOn =
        behind?.length === 0 && staysOpen(head) && requestIsOut(outgoing) && !isAuthenticated(head, outgoing);
      if (mayGoOn) this.#options.pool.put(key, connection);
      else connection[Symbol.dispose]();
    };
    const done = (rest: Buffer) => {
      behind = rest;
      // An origin that answers before it has the whole request may still be reading it.
      if (requestIsOut(outgoing)) release();
    };
    const framing = responseFraming(head.headers, head.status, outgoing.method, head.version);
    let body: Body | undefined;
    if (framing.kind === 'none') done(rest);
    else {
      body = new BodyReader(connection.wire, framing, rest, {
        done,
        truncated: 'response_incomplete',
        broken: 'response_incomplete',
        malformed: 'origin_protocol',
      });
    }
    return {
      ...common,
      body,
      upgraded: undefined,
      [Symbol.dispose]: release,
    };
  }
}

const NOTHING_SENT = Promise.resolve(0);

const mayRepeat = ({ method, body, upgrade }: Outgoing): boolean =>
  IDEMPOTENT.has(method) && body === undefined && upgrade === undefined;

const requestIsOut = ({ body }: Outgoing): boolean => body === undefined || body.complete;

/** Origin-form (RFC 9112 §3.2.1): never empty, and the query keeps its place. */
const originForm = (path: string): string => (path === '' ? '/' : path.startsWith('?') ? `/${path}` : path);

/** Whether another request may follow on the connection (RFC 9112 §9.3), as far as the head tells. */
function staysOpen(head: ResponseHead): boolean {
  if (head.version === '1.0' || tokensOf(head.headers, 'connection').includes('close')) return false;
  // Both framings in one answer: somebody before us may have split it differently (RFC 9112 §6.3).
  return (
    valuesOf(head.headers, 'transfer-encoding').length === 0 || valuesOf(head.headers, 'content-length').length === 0
  );
}

/** NTLM and Negotiate authenticate the connection, not the request: whoever came next would be that user (RFC 4559 §6). */
const isAuthenticated = (head: ResponseHead, { headers }: Outgoing): boolean =>
  valuesOf(headers, 'authorization').some(isConnectionBound) ||
  valuesOf(head.headers, 'www-authenticate').some(isConnectionBound);
const isConnectionBound = (value: string): boolean => /\b(?:ntlm|negotiate)\b/i.test(value);

/** The pool holds connections that were dialled directly. */
const mayGo = (route: Route | undefined): boolean => route?.via === 'direct';

/** A 101 must name the protocol that was offered (RFC 9110 §7.8). */
function checkUpgrade(head: ResponseHead, { upgrade }: Outgoing): void {
  const offered = tokensOf(head.headers, 'upgrade');
  if (upgrade === undefined || !offered.includes(upgrade.toLowerCase())) {
    throw new ProxyError('origin_upgrade', `101 to ${offered.join(', ') || 'nothing'}`);
  }
}
