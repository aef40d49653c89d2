import type { BodyMover } from '../../contracts/body-mover.ts';
import type { HeadLimits } from '../../protocol/http1/head-buffer.ts';
import type { ClientContext } from '../client-protocol.ts';
import type { EndedClients } from '../ended-clients.ts';

/** What the HTTP/1 connections of all listeners share. */
export interface Http1Context extends ClientContext {
  readonly ended: EndedClients;
  readonly bodies: BodyMover;
  readonly headLimits: HeadLimits;
  /** Silence between two requests. */
  readonly keepAliveMs: number;
}
