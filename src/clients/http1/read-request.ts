import { ProxyError } from '../../contracts/failure.ts';
import type { Authority, Framing } from '../../contracts/request.ts';
import { isValidHostField } from '../../protocol/addresses/authority.ts';
import { requestFraming } from '../../protocol/http1/framing.ts';
import { tokensOf, valuesOf } from '../../protocol/http1/header-list.ts';
import { parseRequestHead, type RequestHeadText } from '../../protocol/http1/request-head.ts';
import { parseRequestTarget } from '../../protocol/http1/request-target.ts';

/** A request head that has been checked from end to end; nothing behind this module checks it again. */
export type ParsedRequest = RequestHeadText & {
  readonly framing: Framing;
  /** Whether the client leaves the connection open for another request (RFC 9112 §9.3). */
  readonly persistent: boolean;
} & (
    | { readonly kind: 'tunnel'; readonly authority: Authority }
    | { readonly kind: 'forward'; readonly authority: Authority; readonly path: string }
    | { readonly kind: 'local'; readonly path: string }
  );

/** Longest head that is kept: what was read in it takes three to four times as much memory, for as long as its connection is open. */
const KEPT_CHARS_MAX = 2_048;

/**
 * Reads the request heads of one connection. A client that asks for the same thing again and again sends the same bytes: they
 * are read once.
 */
export class RequestReader {
  readonly #keeps: 'last' | 'nothing';
  #head: string | undefined;
  #request: ParsedRequest | undefined;

  /** `nothing`: for a program, which is given what was read, and might change it for the next request. */
  constructor(keeps: 'last' | 'nothing') {
    this.#keeps = keeps;
  }

  /** Throws the failure that refuses it: 400, 417, 431, 501 or 505. */
  read(head: string, fieldsMax: number): ParsedRequest {
    if (this.#request !== undefined && this.#head === head) return this.#request;
    const request = readRequest(head, fieldsMax);
    const isKept = this.#keeps === 'last' && request.kind === 'forward' && head.length <= KEPT_CHARS_MAX;
    this.#head = isKept ? head : undefined;
    this.#request = isKept ? request : undefined;
    return request;
  }

  /** No other request follows on the connection. */
  forget(): void {
    this.#head = undefined;
    this.#request = undefined;
  }
}

/** Throws the failure that refuses it: 400, 417, 431, 501 or 505. */
export function readRequest(text: string, fieldsMax: number): ParsedRequest {
  const head = parseRequestHead(text, fieldsMax);
  checkHost(head);
  const target = parseRequestTarget(head.method, head.target);
  const framing = requestFraming(head.headers, head.version);
  checkExpect(head);
  const common = { ...head, framing, persistent: isPersistent(head) };
  switch (target.form) {
    case 'authority':
      // A body of a CONNECT means nothing (RFC 9110 §9.3.6): one recipient would read it, another tunnel it.
      if (framing.kind === 'chunked' || (framing.kind === 'length' && framing.bytes > 0)) {
        throw new ProxyError('bad_request', 'CONNECT with a body');
      }
      return { ...common, kind: 'tunnel', authority: target.target };
    case 'absolute':
      return { ...common, kind: 'forward', authority: target.target, path: target.path };
    case 'local':
      return { ...common, kind: 'local', path: target.path };
  }
}

/** HTTP/1.1 needs exactly one valid `Host`, HTTP/1.0 may do without (RFC 9112 §3.2); its value is then ignored. */
function checkHost({ method, headers, version, target }: RequestHeadText): void {
  const hosts = valuesOf(headers, 'host');
  if (hosts.length > 1) throw new ProxyError('bad_request', 'more than one Host field');
  const [host] = hosts;
  if (host === undefined) {
    if (version === '1.1') throw new ProxyError('bad_request', 'no Host field');
  } else if (!repeats(method, target, host) && !isValidHostField(host)) {
    throw new ProxyError('bad_request', 'Host is not host[:port]');
  }
}

/** Nearly every client repeats its target in `Host`, and the target is checked as strictly. */
function repeats(method: string, target: string, host: string): boolean {
  if (method === 'CONNECT') return target === host;
  const end = SCHEME.length + host.length;
  return target.startsWith(SCHEME + host) && target.indexOf('/', SCHEME.length) === end && !host.includes('?');
}
const SCHEME = 'http://';

function checkExpect({ headers, version }: RequestHeadText): void {
  if (version === '1.0') return;
  for (const expectation of tokensOf(headers, 'expect')) {
    if (expectation !== '100-continue')
      throw new ProxyError('expectation_failed', 'an expectation besides 100-continue');
  }
}

/** Never for HTTP/1.0 (RFC 9112 §9.3): a proxy in front of us might pass `Connection` on without knowing it. */
function isPersistent({ headers, version }: RequestHeadText): boolean {
  if (version === '1.0') return false;
  return !tokensOf(headers, 'connection').includes('close') && !tokensOf(headers, 'proxy-connection').includes('close');
}
