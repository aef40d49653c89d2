import { FAILURES, ProxyError } from '../../contracts/failure.ts';
import type { LocalResponse } from '../../contracts/message.ts';
import type { Authority, RequestProtocol } from '../../contracts/request.ts';
import { withPageProtection } from '../../pipeline/foreign-page.ts';
import type { ProxyIdentity } from '../../pipeline/services.ts';
import { proxyStatus } from '../../protocol/http1/proxy-status.ts';
import { reasonOf } from '../../protocol/http1/reasons.ts';
import { receivedProtocol, viaMember } from '../../protocol/http1/via.ts';
import { reasonPhrase } from './reason-phrase.ts';

/** What a refusal says of the request that is refused. */
export interface RefusedRequest {
  readonly id: string;
  readonly protocol: RequestProtocol;
  /** Target of a CONNECT, whose reason phrase says what became of it. */
  readonly tunnel?: Authority | undefined;
  /** `page`: of the proxy itself, which pages of other origins must not read. */
  readonly of?: 'page' | undefined;
}

/**
 * A failure as a response in HTTP. Nothing of the request is repeated: text that an attacker has chosen becomes a script
 * in the browser of the user who reads this, or a forged line in a log.
 */
export function refusalResponse(error: ProxyError, request: RefusedRequest, identity: ProxyIdentity): LocalResponse {
  if (error.response !== undefined) return customResponse(error.response, error, request, identity);
  const { status, clientMessage: usual } = FAILURES[error.code];
  const { id, protocol, tunnel } = request;
  const sentence = error.clientMessage ?? usual;
  const fault = faultIn(error);
  const wrong = fault === undefined ? '' : ` What is wrong: ${fault}.`;
  const clientDetail = error.clientDetail === undefined ? '' : ` ${error.clientDetail}`;
  const response: LocalResponse = {
    status,
    reason: tunnel === undefined ? reasonOf(status) : reasonPhrase(error, tunnel),
    headers: [
      ['Content-Type', 'text/plain; charset=utf-8'],
      // Behind the members of upstream proxies: each proxy adds its own at the end (RFC 9209 §2).
      ...error.headers.filter(isStatus),
      ['Proxy-Status', proxyStatus(identity.name, error.code)],
      ['Via', viaMember(receivedProtocol(protocol), identity.pseudonym)],
      ...error.headers.filter((field) => !isStatus(field)),
    ],
    body: `${sentence}${wrong}${clientDetail}\n\n${status} ${reasonOf(status)} (${error.code}), from the proxy "${identity.name}", request ${id}.\n`,
  };
  return request.of === 'page' ? withPageProtection(response) : response;
}

/** A refusal that a program has written, with what every response of ours carries. */
function customResponse(
  { status, reason, headers, body }: LocalResponse,
  { code }: ProxyError,
  { protocol }: RefusedRequest,
  identity: ProxyIdentity,
): LocalResponse {
  const hasType = headers.some(([name]) => name.toLowerCase() === 'content-type');
  return {
    status,
    reason,
    headers: [
      ...(hasType || body.length === 0 ? [] : ([['Content-Type', 'text/plain; charset=utf-8']] as const)),
      ...headers,
      ['Proxy-Status', proxyStatus(identity.name, code)],
      ['Via', viaMember(receivedProtocol(protocol), identity.pseudonym)],
    ],
    body,
  };
}

/** A failure may have been wrapped by one that names the route. */
function faultIn({ fault, cause }: ProxyError): string | undefined {
  return fault ?? (cause instanceof ProxyError ? faultIn(cause) : undefined);
}

const isStatus = ([name]: ProxyError['headers'][number]): boolean => name === 'Proxy-Status';
