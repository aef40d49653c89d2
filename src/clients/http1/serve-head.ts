import { asProxyError, ProxyError } from '../../contracts/failure.ts';
import type { Body, ClientInfo, Framing } from '../../contracts/request.ts';
import { recordRefused } from '../../pipeline/record-refused.ts';
import type { Http1Context } from './context.ts';
import { dispatch } from './dispatch.ts';
import type { ParsedRequest, RequestReader } from './read-request.ts';
import type { Http1Responder, RequestInfo } from './responder.ts';

/** The connection that the head has come on. */
export interface HeadHost {
  readonly client: ClientInfo;
  readonly reader: RequestReader;
  /** From now on the request is in progress. */
  startRequest(request: RequestInfo): Http1Responder;
  /** The body behind the head, if there is one; `rest` was read with it. */
  openBody(responder: Http1Responder, framing: Framing, rest: Buffer): Body | undefined;
}

/** What stands for a request that is refused before it was read, or read to its end: nothing follows its response. */
const REFUSED_HEAD: RequestInfo = { method: 'GET', version: '1.1', kind: 'malformed', persistent: false };

/** Hands a whole head to the pipeline as a request, or refuses it. */
export function serveHead(text: string, rest: Buffer, host: HeadHost, context: Http1Context): void {
  let parsed: ParsedRequest;
  try {
    parsed = host.reader.read(text, context.headLimits.fieldsMax);
  } catch (thrown) {
    return refuseHead(asProxyError(thrown), host, context);
  }
  if (context.draining()) {
    const authority = parsed.kind === 'tunnel' ? parsed.authority : undefined;
    const why = new ProxyError('draining', 'the proxy is stopping');
    return refuseHead(why, host, context, { ...REFUSED_HEAD, authority });
  }
  const responder = host.startRequest(parsed);
  const { id, services } = responder;
  services.tap?.({ type: 'head', id, hop: 'client', sent: 'by-peer', head: text });
  const body = host.openBody(responder, parsed.framing, rest);
  dispatch(parsed, { client: host.client, body }, responder, context.sessions);
}

/** A head that is no request, or came too slowly: nothing behind it can be trusted either. */
export function refuseHead(
  error: ProxyError,
  host: HeadHost,
  context: Http1Context,
  request: RequestInfo = REFUSED_HEAD,
): void {
  const responder = host.startRequest(request);
  const { id, services } = responder;
  const refused = { id, protocol: 'http/1.1', client: host.client, sent: responder.refuse(error) };
  recordRefused(error, refused, services, context.sessions);
}
