import { FAILURES } from '../../contracts/failure.ts';
import type { ProxyRecord } from '../../contracts/record.ts';
import type { FailureStep } from './steps.ts';

/** Who has failed and what that means, for each error type of RFC 9209 §2.3. */
const TOKENS: Readonly<Record<string, readonly [who: string, what: string]>> = {
  dns_timeout: ['the name service', 'the proxy asked for the address of the host and got no response in time'],
  dns_error: ['the name service', 'the proxy asked for the address of the host, and there is none'],
  destination_not_found: ['the proxy', 'it has no route to that destination'],
  destination_unavailable: ['the destination', 'the proxy could not open a connection to it'],
  destination_ip_prohibited: ['the proxy', 'it does not connect to that address: its guard denies it'],
  destination_ip_unroutable: ['the network', 'from where the proxy is, nothing leads to that address'],
  connection_refused: ['the destination', 'it is there, but nothing listens on that port'],
  connection_terminated: ['the destination', 'it closed the connection before it had responded'],
  connection_timeout: ['the destination', 'it did not accept the connection in time'],
  connection_read_timeout: ['the destination', 'it sent nothing for too long'],
  connection_write_timeout: ['the destination', 'it read nothing for too long'],
  connection_limit_reached: ['the proxy', 'it serves as many connections as it may'],
  tls_protocol_error: ['the next hop', 'its TLS handshake with the proxy failed'],
  tls_certificate_error: ['the next hop', 'it showed the proxy a certificate that cannot be trusted'],
  tls_alert_received: ['the next hop', 'it broke off the TLS handshake with the proxy'],
  http_request_error: ['you', 'the proxy does not accept the request as it was sent'],
  http_request_denied: ['the proxy', 'a rule, a limit or a missing password stands against this request'],
  http_response_incomplete: ['the destination', 'it closed the connection in the middle of its response'],
  http_response_header_section_size: ['the destination', 'the head of its response is too large for the proxy'],
  http_response_timeout: ['the destination', 'it took the request and did not respond in time'],
  http_protocol_error: ['the destination', 'it responded with something that is not valid HTTP'],
  http_upgrade_failed: ['the destination', 'it did not switch protocols as it was asked to'],
  proxy_internal_error: ['the proxy', 'something went wrong inside it'],
  proxy_internal_response: ['the proxy', 'it made this response itself'],
  proxy_configuration_error: ['the proxy', 'it is not set up for this'],
  proxy_loop_detected: ['the proxy', 'the request would come back to it'],
};

/** For a proxy that sends no Proxy-Status: the status is all there is. */
const STATUSES: Readonly<Record<number, readonly [who: string, what: string]>> = {
  400: ['you', 'the proxy does not accept the request as it was sent'],
  403: ['the proxy', 'it does not allow this request'],
  404: ['the proxy', 'it does not know CONNECT, or is not a proxy'],
  405: ['the proxy', 'it does not offer CONNECT, or is not a proxy'],
  407: ['the proxy', 'Proxy authentication required'],
  429: ['the proxy', 'you have reached one of its limits'],
  500: ['the proxy', 'something went wrong inside it'],
  501: ['the proxy', 'it does not support that'],
  502: ['the destination', 'the proxy could not reach it, or got no valid response'],
  503: ['the proxy', 'it cannot serve this request now'],
  504: ['the destination', 'it did not respond to the proxy in time'],
  508: ['the proxy', 'the request would come back to it'],
};

const ADVICE: Readonly<Record<number, string>> = {
  407: 'name them: --through http://USER:PASSWORD@HOST:PORT',
  429: 'try again later; Retry-After says when, if the proxy sent it',
};

/** `error=` of the first member that has one: members are in order, the one nearest to the origin first (RFC 9209 §2). */
export function proxyStatusError(fields: readonly string[]): { by: string; token: string } | undefined {
  for (const line of fields) {
    const value = /^proxy-status:(.*)$/i.exec(line)?.[1];
    for (const member of value?.split(',') ?? []) {
      const match = /^\s*("[^"]*"|[^\s;]+).*;\s*error=([a-z_]+)/i.exec(member);
      if (match?.[1] !== undefined && match[2] !== undefined) {
        return { by: match[1].replaceAll('"', ''), token: match[2] };
      }
    }
  }
  return undefined;
}

/** What a response says that a proxy made itself. `record` is there when the proxy is ours, and knows more. */
export function refusalMeaning(
  status: number,
  fields: readonly string[],
  record: ProxyRecord | undefined,
): FailureStep {
  const error = proxyStatusError(fields);
  const [who, what] = (error && TOKENS[error.token]) ??
    STATUSES[status] ?? ['the proxy', `it responded with ${status}`];
  const advice = ADVICE[status];
  const said = record?.failure === undefined ? undefined : failureMeaning(record);
  return {
    kind: 'failed',
    who: status === 407 ? 'the proxy' : who,
    what: status === 407 ? 'Proxy authentication required' : (said ?? what),
    ...(advice === undefined ? {} : { advice }),
    rfc: error === undefined ? `RFC 9110 §15.${status < 500 ? 5 : 6}` : 'RFC 9209 §2.3',
  };
}

function failureMeaning({ failure, detail }: ProxyRecord): string | undefined {
  if (failure === undefined) return undefined;
  const { clientMessage } = FAILURES[failure];
  return detail === undefined ? clientMessage : `${clientMessage} (${detail})`;
}

/** What a socket's error means to the person who sees it. */
export function socketMeaning(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const known = SOCKETS[code];
  if (known !== undefined) return known;
  return error instanceof Error ? error.message : String(error);
}
const SOCKETS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was closed',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name service did not respond',
  ETIMEDOUT: 'no response',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no route to it',
};
