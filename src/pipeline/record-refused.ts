import type { SentHead } from '../contracts/client.ts';
import type { ProxyError } from '../contracts/failure.ts';
import type { ProxyRecord } from '../contracts/record.ts';
import type { ClientInfo, RequestProtocol } from '../contracts/request.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { Services } from './services.ts';

/** What is known of a request that was refused before it was one. */
export interface RefusedHead {
  readonly id: string;
  readonly protocol: RequestProtocol;
  readonly client: ClientInfo;
  /** What the client was sent; `undefined`: it was gone. */
  readonly sent: SentHead | undefined;
}

/** Reports a client, or a head, that was refused before there was a request: every refusal has its record. */
export function recordRefused(error: ProxyError, refused: RefusedHead, services: Services, sessions: Sessions): void {
  const { id, protocol, client, sent } = refused;
  if (sent !== undefined) services.observe({ type: 'response', id, status: sent.status, headers: sent.headers });
  const record: ProxyRecord = {
    id,
    kind: 'malformed',
    protocol,
    startedAt: new Date(services.clock.wallMs()),
    durationMs: 0,
    client,
    method: '-',
    limits: [],
    status: sent?.status ?? 0,
    failure: error.code,
    detail: error.detail,
    bytesUp: 0,
    bytesDown: 0,
    timings: {},
  };
  sessions.addEnded(record);
  services.observe({ type: 'close', id, record });
}
