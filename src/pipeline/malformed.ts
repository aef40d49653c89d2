import type { Reply } from '../core/contracts.ts';
import { FAILURES, type ProxyError } from '../core/failure.ts';
import type { ClientInfo } from '../core/request.ts';
import { refusal } from './respond.ts';
import type { Rooms } from './rooms.ts';

/** A request that never became one: what the client is told, and the record that it was here. */
export function refuseMalformed(error: ProxyError, id: string, client: ClientInfo, rooms: Rooms): Reply {
  rooms.observe({
    type: 'closed',
    id,
    record: {
      id,
      kind: 'malformed',
      protocol: '1.1',
      startedAt: new Date(rooms.clock.wallMs()),
      durationMs: 0,
      client,
      method: '-',
      limits: [],
      status: FAILURES[error.code].status,
      failure: error.code,
      detail: error.detail,
      bytesUp: 0,
      bytesDown: 0,
      stageMs: {},
    },
  });
  return refusal(error, id, '1.1', rooms.identity);
}
