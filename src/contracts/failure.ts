import type { LocalResponse } from './message.ts';
import { type FieldsInput, type ResponseInput, responseHead } from './own-response.ts';

/** Reply codes of SOCKS5 (RFC 1928 §6). SOCKS4 has one for all. */
const SOCKS = {
  generalFailure: 1,
  notAllowed: 2,
  hostUnreachable: 4,
  refused: 5,
  /** "TTL expired": what clients show as a time-out. */
  timeOut: 6,
  commandNotSupported: 7,
  addressTypeNotSupported: 8,
} as const;

/** One way to fail, and what it means to clients, to fail-over and to the log. */
export interface Failure {
  /** What the client receives. */
  readonly status: number;
  /** Error type of `Proxy-Status` (RFC 9209 §2.3). */
  readonly token: string;
  /**
   * Whose doing it is. `peer`: of the host that was dialled, which is the upstream proxy where the route has one, and
   * the target where it has none.
   */
  readonly about: 'client' | 'us' | 'peer' | 'upstream-proxy' | 'target';
  /**
   * How far the request came. `no`: no host took the connection; `part-way`: a proxy of a chain did, and the host behind
   * it did not; `connected`: the host took the connection and sent no valid response; `responded`: an upstream proxy
   * responded, so that it is alive. Absent where nothing was dialled for it, or where it does not matter any more.
   */
  readonly reached?: 'no' | 'part-way' | 'connected' | 'responded';
  /**
   * Whether another route may serve this request. `if-proxy-is-down`: it may have been the target's doing, so that the next
   * route is tried only when the upstream proxy itself gives no sign of life.
   */
  readonly retry: 'next-route' | 'if-proxy-is-down' | 'never';
  /** One sentence for the person who reads the refusal. */
  readonly clientMessage: string;
  /** What a client of SOCKS5 receives (RFC 1928 §6). */
  readonly socks5: number;
}

type Row = readonly [status: number, token: string, clientMessage: string, socks5?: number];

const client = (...[status, token, clientMessage, socks5 = SOCKS.generalFailure]: Row): Failure => ({
  status,
  token,
  about: 'client',
  retry: 'never',
  clientMessage,
  socks5,
});
const us = (...row: Row): Failure => ({ ...client(...row), about: 'us' });
/** A host that could not be reached. */
const unreached = (reached: 'no' | 'part-way', ...row: Row): Failure => ({
  ...client(...row),
  about: 'peer',
  reached,
  retry: 'next-route',
});
/** The TLS handshake with a host that was reached. */
const tls = (...row: Row): Failure => ({ ...client(...row), about: 'peer', reached: 'connected', retry: 'next-route' });
/** An upstream proxy that was reached and sends no valid response. */
const withoutResponse = (...row: Row): Failure => ({
  ...client(...row),
  about: 'upstream-proxy',
  reached: 'connected',
  retry: 'if-proxy-is-down',
});
/** An upstream proxy has responded, and did not do what was asked. */
const responded = (about: 'upstream-proxy' | 'target', ...row: Row): Failure => ({
  ...client(...row),
  about,
  reached: 'responded',
});
const target = (...row: Row): Failure => ({ ...client(...row), about: 'target' });

/**
 * Every way a request can fail. Status, `Proxy-Status`, metrics, logs, fail-over, the health of upstream proxies and
 * docs/ERRORS.md are all read from here.
 */
export const FAILURES = {
  bad_request: client(400, 'http_request_error', 'The request is not valid HTTP.'),
  client_tls_failed: client(400, 'http_request_error', 'The TLS handshake with this proxy failed.'),
  denied: us(403, 'http_request_denied', 'A rule of this proxy does not allow this request.', SOCKS.notAllowed),
  // RFC 9209 recommends 502 for a prohibited address; the refusal is ours, so the client gets 403.
  address_prohibited: us(
    403,
    'destination_ip_prohibited',
    'This proxy does not connect to that address.',
    SOCKS.notAllowed,
  ),
  not_found: client(
    404,
    'http_request_error',
    'This is a proxy, not a web server: there is nothing here. Ask it for a whole URL.',
  ),
  method_not_allowed: client(405, 'http_request_error', 'This is a proxy: ask it for a whole URL.'),
  client_certificate_rejected: us(
    403,
    'http_request_denied',
    'This proxy does not accept the certificate of this client.',
  ),
  client_auth_required: us(
    407,
    'http_request_denied',
    'Proxy authentication required: send a user name and password.',
    SOCKS.notAllowed,
  ),
  client_too_slow: client(408, 'http_request_error', 'The request did not arrive in time.'),
  target_too_long: client(414, 'http_request_error', 'The request target is longer than this proxy accepts.'),
  expectation_failed: client(417, 'http_request_error', 'This proxy supports no expectation but 100-continue.'),
  rate_limited: us(
    429,
    'http_request_denied',
    'Too many requests: you have reached a limit of this proxy; try later.',
    SOCKS.notAllowed,
  ),
  excessive_load: client(
    429,
    'http_request_error',
    'The client sent more frames that ask for nothing than this proxy accepts.',
  ),
  quota_exceeded: us(
    429,
    'http_request_denied',
    'You have used up a quota of this proxy; try again later.',
    SOCKS.notAllowed,
  ),
  too_many_tunnels: us(
    429,
    'http_request_denied',
    'You have as many tunnels open as this proxy allows; close some.',
    SOCKS.notAllowed,
  ),
  head_too_large: client(431, 'http_request_error', 'The request head is larger than this proxy accepts.'),
  internal: us(500, 'proxy_internal_error', 'Something went wrong inside the proxy.'),
  hook_failed: us(500, 'proxy_internal_error', 'The program that runs this proxy could not decide about the request.'),
  not_implemented: client(501, 'http_request_error', 'This proxy does not support that.', SOCKS.commandNotSupported),
  address_type_unsupported: client(
    501,
    'http_request_error',
    'This proxy knows no such kind of address.',
    SOCKS.addressTypeNotSupported,
  ),
  no_route: us(502, 'destination_not_found', 'No route to that destination.', SOCKS.hostUnreachable),
  dns_failed: unreached('no', 502, 'dns_error', 'The host name could not be resolved.', SOCKS.hostUnreachable),
  host_unreachable: unreached(
    'no',
    502,
    'destination_ip_unroutable',
    'The destination cannot be reached from here.',
    SOCKS.hostUnreachable,
  ),
  connection_refused: unreached(
    'no',
    502,
    'connection_refused',
    'The destination refused the connection.',
    SOCKS.refused,
  ),
  connect_failed: unreached(
    'part-way',
    502,
    'destination_unavailable',
    'The connection to the destination could not be opened.',
    SOCKS.hostUnreachable,
  ),
  reset_before_head: target(502, 'connection_terminated', 'The destination closed the connection without a response.'),
  tls_failed: tls(502, 'tls_protocol_error', 'The TLS handshake with the upstream failed.'),
  certificate_rejected: tls(502, 'tls_certificate_error', 'The certificate of the upstream cannot be trusted.'),
  upstream_auth_failed: responded(
    'upstream-proxy',
    502,
    'proxy_configuration_error',
    'The upstream proxy did not accept our credentials.',
  ),
  origin_protocol: target(502, 'http_protocol_error', 'The destination sent something that is not valid HTTP.'),
  origin_head_too_large: target(
    502,
    'http_response_header_section_size',
    'The head of the response is larger than this proxy accepts.',
  ),
  origin_upgrade: target(502, 'http_upgrade_failed', 'The destination switched to a protocol that was not asked for.'),
  response_incomplete: target(
    502,
    'http_response_incomplete',
    'The destination closed the connection in the middle of its response.',
  ),
  upstream_protocol: withoutResponse(
    502,
    'http_protocol_error',
    'The upstream proxy sent something that is not valid HTTP.',
  ),
  upstream_closed: withoutResponse(
    502,
    'connection_terminated',
    'The upstream proxy closed the connection without a response.',
  ),
  upstream_refused: responded(
    'target',
    502,
    'http_request_denied',
    'The upstream proxy refused to connect.',
    SOCKS.notAllowed,
  ),
  // The proxy is well and the destination is not: the next proxy would only take as long to say the same.
  upstream_failed: responded(
    'target',
    502,
    'destination_unavailable',
    'The upstream proxy could not reach the destination.',
    SOCKS.hostUnreachable,
  ),
  at_capacity: us(503, 'connection_limit_reached', 'This proxy has as many connections as it may; try again later.'),
  limits_unavailable: us(
    503,
    'connection_limit_reached',
    'This proxy cannot check the limits that it shares with others; try again later.',
  ),
  draining: us(503, 'connection_limit_reached', 'This proxy is shutting down.'),
  dns_timeout: unreached('no', 504, 'dns_timeout', 'The host name was not resolved in time.', SOCKS.timeOut),
  connect_timeout: unreached(
    'no',
    504,
    'connection_timeout',
    'The destination did not accept the connection in time.',
    SOCKS.timeOut,
  ),
  upstream_timeout: withoutResponse(
    504,
    'http_response_timeout',
    'The upstream proxy did not respond in time.',
    SOCKS.timeOut,
  ),
  origin_timeout: target(504, 'http_response_timeout', 'The destination did not respond in time.'),
  version_unsupported: client(505, 'http_request_error', 'This proxy supports HTTP/1.0 and HTTP/1.1 here.'),
  // RFC 9209 recommends 502; 508 (RFC 5842 §7.2) says plainly what happened.
  loop_detected: responded(
    'target',
    508,
    'proxy_loop_detected',
    'The request would come back to this proxy.',
    SOCKS.notAllowed,
  ),
  // No client is left to read it: it names the cause in the record.
  client_gone: client(499, 'connection_terminated', 'The client closed the connection before the response.'),
  shutdown: us(503, 'connection_limit_reached', 'The proxy was stopped while the request was open.'),
  terminated: us(503, 'http_request_denied', 'An administrator of this proxy has ended the request.', SOCKS.notAllowed),
  // Its status is the program's: ProxyError.custom.
  custom: us(500, 'http_request_denied', 'The program that runs this proxy has refused the request.', SOCKS.notAllowed),
} as const satisfies Record<string, Failure>;

export type FailureCode = keyof typeof FAILURES;

const failureOf = (code: FailureCode): Failure => FAILURES[code];

/** Whether no host took the connection: neither the target nor any proxy on the way to it. */
export const isUnreachable = (code: FailureCode): boolean => failureOf(code).reached === 'no';

/** Whether the host that was wanted took no connection, while a proxy on the way to it may have. */
export const isUnreached = (code: FailureCode): boolean =>
  isUnreachable(code) || failureOf(code).reached === 'part-way';

/** Whether an upstream proxy was reached and sent no valid response; the target may be the cause. */
export const isWithoutResponse = (code: FailureCode): boolean => failureOf(code).retry === 'if-proxy-is-down';

/** Whether the peer closed the connection before it had sent a response. */
export const isClosedWithoutResponse = (code: FailureCode): boolean =>
  failureOf(code).token === 'connection_terminated' && failureOf(code).about !== 'client';

/** Whether an upstream proxy responded, so that it is alive. */
export const hasResponded = (code: FailureCode): boolean => failureOf(code).reached === 'responded';

/** Whether an upstream proxy responded that it does not serve this target, or cannot. */
export const isVerdictOnTarget = (code: FailureCode): boolean =>
  hasResponded(code) && failureOf(code).about === 'target';

/** Whether a failure on a route through an upstream proxy makes the next route try: the proxy itself has failed. */
export const isProxyFault = (code: FailureCode): boolean => failureOf(code).retry === 'next-route';

/**
 * The only error that leaves a module. `detail` is for logs and is never sent to a client;
 * `clientDetail` is an optional second sentence that the client may read (the name of a rule or a limit).
 */
export class ProxyError extends Error {
  override readonly name = 'ProxyError';
  readonly code: FailureCode;
  readonly detail: string;
  readonly clientDetail: string | undefined;
  /** What is wrong with a message, in words of ours that hold no byte of it; the client may read them. */
  readonly fault: string | undefined;
  /** Instead of the sentence of the code, where that would name the wrong host. */
  readonly clientMessage: string | undefined;
  /** Fields that the refusal carries besides those that every refusal has, e.g. `Retry-After`. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The response of `custom`. */
  readonly response: LocalResponse | undefined;

  constructor(
    code: FailureCode,
    detail: string,
    more: ErrorOptions & {
      clientDetail?: string;
      fault?: string | undefined;
      clientMessage?: string | undefined;
      headers?: readonly (readonly [string, string])[];
      response?: LocalResponse;
    } = {},
  ) {
    super(`[${code}] ${detail}`, more);
    this.code = code;
    this.detail = detail;
    this.clientDetail = more.clientDetail;
    this.fault = more.fault;
    this.clientMessage = more.clientMessage;
    this.headers = more.headers ?? [];
    this.response = more.response;
  }

  /** A refusal of a program's own: any status from 300 on, its fields and its body. Throws a TypeError that names what is wrong. */
  static custom({ status: wanted, reason: phrase, fields, body = '', detail }: CustomRefusal): ProxyError {
    const { status, reason, headers } = responseHead({ status: wanted, reason: phrase, headers: fields }, 300);
    if (typeof body !== 'string' && !(body instanceof Uint8Array)) throw new TypeError('body: write text or bytes');
    const bytes = typeof body === 'string' ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    return new ProxyError('custom', detail ?? `${status} ${reason}`.trimEnd(), {
      response: { status, reason, headers, body: bytes },
    });
  }
}

/** What `ProxyError.custom` sends. */
export interface CustomRefusal extends Omit<ResponseInput, 'headers'> {
  readonly fields?: FieldsInput | undefined;
  /** Text goes as UTF-8, and as `text/plain` where `fields` names no type. */
  readonly body?: string | Uint8Array | undefined;
  /** For the record and the log; the client does not get it. Default: status and reason. */
  readonly detail?: string | undefined;
}

/** Anything that was thrown, as a ProxyError; an unknown error is our own fault and keeps its cause for the log. */
export function asProxyError(error: unknown): ProxyError {
  if (error instanceof ProxyError) return error;
  return new ProxyError('internal', error instanceof Error ? error.message : String(error), { cause: error });
}
