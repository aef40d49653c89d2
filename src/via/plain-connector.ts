import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Deadline } from '../contracts/deadline.ts';
import type { DialScope } from '../contracts/dialing.ts';
import { asProxyError, ProxyError } from '../contracts/failure.ts';
import type { Authority } from '../contracts/request.ts';
import type { Connection, Route } from '../contracts/stages.ts';
import { IdleWatch } from '../net/idle-watch.ts';
import { StreamWire } from '../net/node-wire.ts';
import { HEAD_LIMITS } from '../protocol/http1/head-buffer.ts';
import { bodyMover } from '../relay/body-transfer.ts';
import { createRouteDialer, type RouteDialerOptions } from '../upstream/dial/create-route-dialer.ts';
import { openStream } from '../upstream/dial/tcp.ts';
import { Failover } from '../upstream/failover.ts';
import { ProxyHealth } from '../upstream/health/proxy-health.ts';
import { RouteExchange } from '../upstream/http/exchange.ts';
import { IdlePool } from '../upstream/http/idle-pool.ts';
import { systemClock } from '../util/clock.ts';
import { Stop, type StopSignal } from '../util/stop.ts';
import { LocalSocket, type RefControl } from './local-socket.ts';
import { servePlain } from './plain-connection.ts';

export interface PlainConnectorOptions {
  readonly route: Route;
  readonly dialerOptions: RouteDialerOptions;
  /** The time for a connection to the last proxy to be ready for a request. */
  readonly connectDeadline: (parent: StopSignal) => Deadline;
  /** The program's. */
  readonly signal: AbortSignal | undefined;
  readonly scope: (signal: StopSignal) => DialScope;
  readonly failed: (failure: ProxyError) => ProxyError;
}

/** Opens connections for agents over which plain requests reach the last proxy of the route in absolute-form. */
export function plainConnector(options: PlainConnectorOptions): (to: Authority) => Duplex {
  const { route, dialerOptions, connectDeadline, signal, scope, failed } = options;
  const idle = new IdleWatch(systemClock);
  const bodies = bodyMover(idle);
  return (to) => {
    const sockets = new OpenSockets();
    const [near, far] = LocalSocket.pair(sockets, 'end-too');
    // One pool for each connection of an agent: the agent decides how many there are, and when they are closed.
    const pool = new IdlePool(systemClock);
    const health = new ProxyHealth({ clock: systemClock, observe: () => undefined, probe: noProbe });
    const dialer = createRouteDialer({ ...dialerOptions, open: sockets.opening(dialerOptions.open ?? openStream) });
    const failover = new Failover(health, systemClock);
    const exchange = new RouteExchange({
      dialer: {
        async connectForRequest(along, target, within) {
          using limit = connectDeadline(within.signal);
          return await dialer.connectForRequest(along, target, { ...within, signal: limit.signal });
        },
      },
      failover,
      // A program's route is its own: no other route is suggested in its place.
      fallback: {
        first: (routes, within, attempt) => failover.first(routes, within, attempt),
        best: (routes) => routes[0],
        explained: asProxyError,
      },
      auth: dialerOptions.auth,
      pool,
      limits: HEAD_LIMITS,
      headMs: dialerOptions.headMs,
    });
    const stop = new Stop();
    const onAbort = () => stop.abort(signal?.reason);
    signal?.addEventListener('abort', onAbort);
    if (signal?.aborted) onAbort();
    far.once('close', () => {
      signal?.removeEventListener('abort', onAbort);
      stop.abort(new ProxyError('client_gone', 'the agent closed its connection'));
      pool.clear();
      health[Symbol.dispose]();
    });
    void servePlain(far, {
      to,
      bodies,
      stop,
      async send(outgoing, within) {
        try {
          return await exchange.send(outgoing, [route], scope(within));
        } catch (error) {
          throw within.aborted ? within.reason : failed(asProxyError(error));
        }
      },
    });
    return near;
  };
}

/** There is one route: whether its proxy is down changes nothing. */
const noProbe = () => Promise.reject(new ProxyError('internal', 'nothing is probed here'));

/** The sockets under one connection of an agent. */
class OpenSockets implements RefControl {
  readonly #open = new Set<Referable>();
  #isReferenced = true;

  ref(): void {
    this.#isReferenced = true;
    for (const socket of this.#open) socket.ref();
  }

  unref(): void {
    this.#isReferenced = false;
    for (const socket of this.#open) socket.unref();
  }

  opening(open: typeof openStream): typeof openStream {
    return async (address, port, signal) => {
      const connection = await open(address, port, signal);
      const socket = socketOf(connection);
      if (socket !== undefined) {
        this.#open.add(socket);
        connection.wire.stream.once('close', () => this.#open.delete(socket));
        if (!this.#isReferenced) socket.unref();
      }
      return connection;
    };
  }
}

interface Referable {
  ref(): unknown;
  unref(): unknown;
}

function socketOf({ wire }: Connection): Referable | undefined {
  return wire instanceof StreamWire && wire.stream instanceof Socket ? wire.stream : undefined;
}
