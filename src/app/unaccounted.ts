import type { ListenerSet } from '../clients/listener-set.ts';
import type { Permit } from '../contracts/stages.ts';
import type { Limits } from '../limits/limits.ts';
import { relayedTunnelCount, repeatedTunnelCount } from '../native/relay-thread.ts';
import { epollSocketCount } from '../net/epoll-sockets.ts';
import { nodeWireCount } from '../net/node-wire.ts';
import type { Unaccounted } from '../observe/process-measures.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { DialledConnections } from '../upstream/dial/dialled-connections.ts';
import { PROBE_ID } from '../upstream/health/probe.ts';
import type { IdlePool } from '../upstream/http/idle-pool.ts';
import { pendingTimers } from '../util/clock.ts';

/** Timers of a proxy that serves nothing: watches of networks, files, PAC and idle connections, health of a few upstream proxies. */
const TIMERS_OF_PROXY_MAX = 64;
/** Deadlines of a request that is on its way: four routes at a time, each with a deadline, a race and a handshake. */
const TIMERS_OF_REQUEST_MAX = 16;

/** The sockets and timers of this thread are counted for all proxies in it together. */
const checks = new Set<UnaccountedCheck>();

export interface AccountedParts {
  readonly sessions: Pick<Sessions, 'entries'>;
  readonly limits: Pick<Limits, 'heldBeside'>;
  readonly listeners: Pick<ListenerSet, 'connections' | 'sockets'>;
  readonly shared: { readonly dialled: DialledConnections; readonly pool: Pick<IdlePool, 'size'> };
}

/**
 * Compares what is open with the registry of live requests: what neither a request in progress nor a part of the proxy owns
 * has been forgotten by someone. Requests that begin or end are between two states only within one task of the loop.
 */
export class UnaccountedCheck implements Disposable {
  readonly #parts: AccountedParts;

  constructor(parts: AccountedParts) {
    this.#parts = parts;
    checks.add(this);
  }

  [Symbol.dispose](): void {
    checks.delete(this);
  }

  /** To be called in a task of its own. A socket that is closing may still be counted for a moment. */
  look(): Unaccounted {
    const { limits } = this.#parts;
    const permits = new Set<Permit>();
    const ids = new Set([PROBE_ID]);
    let [tunnels, forwards] = [0, 0];
    for (const { id, kind, permit } of this.#parts.sessions.entries()) {
      ids.add(id);
      if (permit !== undefined) permits.add(permit);
      if (kind === 'tunnel') tunnels += 1;
      else forwards += 1;
    }
    return {
      ...limits.heldBeside(permits),
      connections: this.#forgottenConnections(ids, tunnels, forwards),
      descriptors: Math.max(0, openSockets() - sumOf((one) => one.#sockets)),
      timers: Math.max(0, pendingTimers() - sumOf((one) => one.#timersMax)),
    };
  }

  /**
   * Of connections that were dialled for requests that have ended, the pool has some, a plain request may use one, and a
   * client without a tunnel may have one that is logged on for it, or whose last response is still read to its end.
   */
  #forgottenConnections(ids: ReadonlySet<string>, tunnels: number, forwards: number): number {
    const { listeners, shared } = this.#parts;
    const ofClients = Math.max(0, listeners.connections - tunnels);
    return Math.max(0, shared.dialled.sizeWithout(ids) - shared.pool.size - forwards - ofClients);
  }

  get #sockets(): number {
    const { listeners, shared } = this.#parts;
    return listeners.sockets + shared.dialled.size + shared.dialled.dialling;
  }

  get #timersMax(): number {
    let busy = 0;
    for (const { step } of this.#parts.sessions.entries()) if (step !== 'relay') busy += 1;
    return TIMERS_OF_PROXY_MAX + TIMERS_OF_REQUEST_MAX * busy;
  }
}

const sumOf = (count: (one: UnaccountedCheck) => number): number =>
  [...checks].reduce((sum, one) => sum + count(one), 0);

/** Of wires, wherever they are. Of a repeated tunnel, the client's end has a place; the other was dialled for no wire. */
const openSockets = (): number =>
  epollSocketCount() + nodeWireCount() + 2 * relayedTunnelCount() - repeatedTunnelCount();
