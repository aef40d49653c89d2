import type { ServerHttp2Stream } from 'node:http2';
import { asProxyError, ProxyError } from '../../contracts/failure.ts';
import type { Authority, ClientInfo } from '../../contracts/request.ts';
import { handleForward, handleLocal, handleTunnel } from '../../pipeline/handle.ts';
import { recordRefused } from '../../pipeline/record-refused.ts';
import type { Services } from '../../pipeline/services.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import { credentialsIn } from '../http/credentials.ts';
import type { Http1Context } from '../http1/context.ts';
import { type ParsedHttp2Request, readHttp2Request } from './read-request.ts';
import { Http2Body } from './request-body.ts';
import type { Http2Responder } from './responder.ts';

/** A stream that a client has opened. */
export interface OpenedStream {
  readonly stream: ServerHttp2Stream;
  /** Names and values in turn, as they arrived. */
  readonly head: readonly string[];
  /** Whether nothing follows the head. */
  readonly isComplete: boolean;
}

/** Hands the request of a stream to the pipeline, or refuses it. */
export function serveStream(
  { stream, head, isComplete }: OpenedStream,
  responder: Http2Responder,
  client: ClientInfo,
  context: Http1Context,
): void {
  const { id, services } = responder;
  services.tap?.({ type: 'head', id, hop: 'client', sent: 'by-peer', head: textOf(head) });
  let parsed: ParsedHttp2Request;
  try {
    if (context.draining()) throw new ProxyError('draining', 'the proxy is stopping');
    parsed = readHttp2Request(head, {
      fieldsMax: context.headLimits.fieldsMax,
      isComplete,
      isOurs: (authority) => isOurs(authority, client, services),
    });
  } catch (thrown) {
    const error = asProxyError(thrown);
    const refused = { id, protocol: 'h2', client, sent: responder.refuse(error) };
    return recordRefused(error, refused, services, context.sessions);
  }
  responder.request = { ...parsed, authority: parsed.kind === 'tunnel' ? parsed.authority : undefined };
  dispatch(parsed, stream, responder, client, context.sessions);
}

function dispatch(
  parsed: ParsedHttp2Request,
  stream: ServerHttp2Stream,
  responder: Http2Responder,
  client: ClientInfo,
  sessions: Sessions,
): void {
  const { id, signal, services } = responder;
  const { method, target: requestTarget, headers, framing } = parsed;
  const credentials = credentialsIn(headers);
  const startedMs = services.clock.now();
  const common = { id, requestTarget, protocol: 'h2', headers, credentials, client, signal, startedMs } as const;
  switch (parsed.kind) {
    case 'tunnel': {
      const request = { ...common, kind: 'tunnel', method: 'CONNECT', target: parsed.authority } as const;
      return void handleTunnel(request, responder, services, sessions);
    }
    case 'forward': {
      const isEmpty = framing.kind === 'none' || (framing.kind === 'length' && framing.bytes === 0);
      const body = isEmpty ? undefined : new Http2Body(responder.wire, stream, framing);
      const { authority: target, path } = parsed;
      const request = { ...common, kind: 'forward', method, target, url: requestTarget, path, body } as const;
      return void handleForward(request, responder, services, sessions);
    }
    case 'local':
      return void handleLocal({ ...common, kind: 'local', method, path: parsed.path }, responder, services, sessions);
  }
}

function isOurs({ host, port }: Authority, { listener }: ClientInfo, services: Services): boolean {
  const own = /:(\d+)$/.exec(listener)?.[1];
  return port === Number(own) && services.pages.isOurs(host);
}

/** A head as `explain` prints it. */
function textOf(head: readonly string[]): string {
  let text = '';
  for (let at = 0; at + 1 < head.length; at += 2) text += `${head[at]}: ${head[at + 1]}\r\n`;
  return text;
}
