import type { Body, ClientInfo } from '../../contracts/request.ts';
import { handleForward, handleLocal, handleTunnel } from '../../pipeline/handle.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import { credentialsIn } from '../http/credentials.ts';
import type { ParsedRequest } from './read-request.ts';
import type { Http1Responder } from './responder.ts';

/** What a request has besides its head. */
export interface RequestOrigin {
  readonly client: ClientInfo;
  readonly body: Body | undefined;
}

/** Hands a request to the pipeline, which responds through the responder. */
export function dispatch(
  parsed: ParsedRequest,
  { client, body }: RequestOrigin,
  responder: Http1Responder,
  sessions: Sessions,
): void {
  const { id, services, signal } = responder;
  const { method, version, headers, target: requestTarget } = parsed;
  const protocol = version === '1.0' ? 'http/1.0' : 'http/1.1';
  const credentials = credentialsIn(headers);
  const startedMs = services.clock.now();
  const common = { id, requestTarget, protocol, headers, credentials, client, signal, startedMs } as const;
  switch (parsed.kind) {
    case 'tunnel': {
      const request = { ...common, kind: 'tunnel', method: 'CONNECT', target: parsed.authority } as const;
      return void handleTunnel(request, responder, services, sessions);
    }
    case 'forward': {
      const { authority: target, path } = parsed;
      const request = { ...common, kind: 'forward', method, target, url: requestTarget, path, body } as const;
      return void handleForward(request, responder, services, sessions);
    }
    case 'local': {
      const request = { ...common, kind: 'local', method, path: parsed.path } as const;
      return void handleLocal(request, responder, services, sessions);
    }
  }
}
