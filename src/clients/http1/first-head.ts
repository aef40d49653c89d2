import type { DecidedTunnel } from '../../contracts/decided-tunnel.ts';
import { EpollWire } from '../../net/epoll-wire.ts';
import type { Services } from '../../pipeline/services.ts';
import type { AcceptedClient } from '../client-protocol.ts';
import type { Http1Context } from './context.ts';

/**
 * The head of a CONNECT that is the first of its connection, until its tunnel is open: what was decided about it may be
 * repeated, since the client had sent nothing else.
 */
export class FirstHead {
  readonly #head: string;
  readonly #era: number;

  private constructor(head: string, era: number) {
    this.#head = head;
    this.#era = era;
  }

  /** `undefined`: it is no CONNECT, or nothing is repeated. */
  static of(head: string, { repeats }: Http1Context): FirstHead | undefined {
    return repeats !== undefined && head.startsWith('CONNECT ') ? new FirstHead(head, repeats.era) : undefined;
  }

  /** As TunnelResponder's; `response` is the head that opens the tunnel. */
  repeat(
    decided: DecidedTunnel,
    response: string,
    { wire, host }: AcceptedClient,
    { repeats }: Http1Context,
    services: Services,
  ): void {
    if (!(wire instanceof EpollWire) || wire.acceptedBy === undefined) return;
    const read = { listener: wire.acceptedBy, head: `${this.#head}\r\n\r\n`, era: this.#era, response };
    repeats?.learn(decided, read, host, services);
  }
}
