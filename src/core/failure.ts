/** What a failure means to the three who ask: the client (status, sentence), a monitor (token), the fail-over (retry). */
export interface Failure {
  readonly status: number;
  /** Error type of `Proxy-Status` (RFC 9209 §2.3). */
  readonly token: string;
  /** Whether another route may still answer this request. */
  readonly retry: 'next-route' | 'never';
  /** One sentence for the person who reads the refusal. */
  readonly sentence: string;
}

const row = (status: number, token: string, sentence: string, retry: Failure['retry'] = 'never'): Failure => ({
  status,
  token,
  retry,
  sentence,
});

/** Every way a request can fail. Status, `Proxy-Status`, metrics, logs and docs/ERRORS.md are all read from here. */
export const FAILURES = {
  bad_request: row(400, 'http_request_error', 'The request is not valid HTTP.'),
  denied: row(403, 'http_request_denied', 'A rule of this proxy does not allow this request.'),
  // RFC 9209 recommends 502 for a prohibited address; the refusal is ours, so the client gets 403.
  address_prohibited: row(403, 'destination_ip_prohibited', 'This proxy does not connect to that address.'),
  own_page_unknown: row(
    404,
    'http_request_error',
    'This is a proxy, not a web server: there is nothing here. Ask it for a whole URL.',
  ),
  own_method_unknown: row(405, 'http_request_error', 'This is a proxy: ask it for a whole URL.'),
  credentials_required: row(
    407,
    'http_request_denied',
    'This proxy wants to know who you are: send a user name and password.',
  ),
  client_too_slow: row(408, 'http_request_error', 'The request did not arrive in time.'),
  body_too_large: row(413, 'http_request_error', 'The request body is larger than this proxy accepts.'),
  target_too_long: row(414, 'http_request_error', 'The request target is longer than this proxy accepts.'),
  expectation_unknown: row(417, 'http_request_error', 'This proxy knows no expectation but 100-continue.'),
  over_rate: row(429, 'http_request_denied', 'You have reached a limit of this proxy; try again later.'),
  head_too_large: row(431, 'http_request_error', 'The request head is larger than this proxy accepts.'),
  internal: row(500, 'proxy_internal_error', 'Something went wrong inside the proxy.'),
  hook_failed: row(500, 'proxy_internal_error', 'The program that runs this proxy could not decide about the request.'),
  not_implemented: row(501, 'http_request_error', 'This proxy does not do that.'),
  no_route: row(502, 'destination_not_found', 'No way leads to that destination.'),
  dns_failed: row(502, 'dns_error', 'The host name could not be resolved.', 'next-route'),
  unroutable: row(502, 'destination_ip_unroutable', 'No network leads to the destination from here.', 'next-route'),
  refused: row(502, 'connection_refused', 'The destination refused the connection.', 'next-route'),
  connect_failed: row(
    502,
    'destination_unavailable',
    'The connection to the destination could not be opened.',
    'next-route',
  ),
  reset_before_head: row(502, 'connection_terminated', 'The destination closed the connection without an answer.'),
  tls_failed: row(502, 'tls_protocol_error', 'The TLS handshake with the upstream failed.', 'next-route'),
  certificate_rejected: row(
    502,
    'tls_certificate_error',
    'The upstream showed a certificate that cannot be trusted.',
    'next-route',
  ),
  proxy_auth_failed: row(502, 'proxy_configuration_error', 'The upstream proxy did not accept our credentials.'),
  origin_protocol: row(502, 'http_protocol_error', 'The destination answered with something that is not valid HTTP.'),
  origin_head_too_large: row(
    502,
    'http_response_header_section_size',
    'The head of the answer is larger than this proxy accepts.',
  ),
  origin_upgrade: row(502, 'http_upgrade_failed', 'The destination switched to a protocol that was not asked for.'),
  response_incomplete: row(
    502,
    'http_response_incomplete',
    'The destination closed the connection in the middle of its answer.',
  ),
  parent_protocol: row(
    502,
    'http_protocol_error',
    'The upstream proxy answered with something that is not valid HTTP.',
    'next-route',
  ),
  parent_closed: row(
    502,
    'connection_terminated',
    'The upstream proxy closed the connection without an answer.',
    'next-route',
  ),
  parent_refused: row(502, 'http_request_denied', 'The upstream proxy refused to connect.'),
  // The proxy is well and the destination is not: the next proxy would only take as long to say the same.
  parent_failed: row(502, 'destination_unavailable', 'The upstream proxy could not reach the destination.'),
  at_capacity: row(
    503,
    'connection_limit_reached',
    'This proxy is serving as many connections as it may; try again later.',
  ),
  draining: row(503, 'connection_limit_reached', 'This proxy is shutting down.'),
  dns_timeout: row(504, 'dns_timeout', 'The host name was not resolved in time.', 'next-route'),
  connect_timeout: row(
    504,
    'connection_timeout',
    'The destination did not accept the connection in time.',
    'next-route',
  ),
  parent_silent: row(504, 'http_response_timeout', 'The upstream proxy did not answer in time.', 'next-route'),
  origin_silent: row(504, 'http_response_timeout', 'The destination did not answer in time.'),
  version_unsupported: row(505, 'http_request_error', 'This proxy speaks HTTP/1.0 and HTTP/1.1 here.'),
  // RFC 9209 recommends 502; 508 (RFC 5842 §7.2) says plainly what happened.
  loop: row(508, 'proxy_loop_detected', 'The request would come back to this proxy.'),
  // Nobody is left to read these two: they name the cause in the record.
  client_gone: row(499, 'connection_terminated', 'The client went away before the answer.'),
  cut: row(503, 'connection_limit_reached', 'The proxy was stopped while the request was open.'),
} as const satisfies Record<string, Failure>;

export type FailureCode = keyof typeof FAILURES;

/**
 * The only error that crosses a room's door. `detail` is for logs and is never sent to a client;
 * `told` is an optional second sentence that the client may read (the name of a rule or a limit).
 */
export class ProxyError extends Error {
  override readonly name = 'ProxyError';
  readonly code: FailureCode;
  readonly detail: string;
  readonly told: string | undefined;
  /** Instead of the sentence of the code, where that would speak of somebody else. */
  readonly sentence: string | undefined;
  /** Fields that the refusal carries besides those that every refusal has, e.g. `Retry-After`. */
  readonly fields: readonly (readonly [name: string, value: string])[];

  constructor(
    code: FailureCode,
    detail: string,
    more: ErrorOptions & { told?: string; sentence?: string; fields?: readonly (readonly [string, string])[] } = {},
  ) {
    super(`[${code}] ${detail}`, more);
    this.code = code;
    this.detail = detail;
    this.told = more.told;
    this.sentence = more.sentence;
    this.fields = more.fields ?? [];
  }
}

/** Whatever was thrown, as a ProxyError; an unknown error is our own fault and keeps its cause for the log. */
export function asProxyError(error: unknown): ProxyError {
  if (error instanceof ProxyError) return error;
  return new ProxyError('internal', error instanceof Error ? error.message : String(error), { cause: error });
}
