import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { FAILURES, ProxyError } from '../core/failure.ts';
import type { Authority } from '../core/request.ts';
import { formatAuthority, parseAuthority } from '../protocol/authority.ts';
import { HEAD_LIMITS, HeadBuffer } from '../protocol/head-buffer.ts';
import { parseResponseHead } from '../protocol/response-head.ts';
import { serverNameOf } from './open-tls.ts';

/** A proxy: `http://[user:password@]host:port`, or `https://…` to speak TLS with it. */
export type ProxyUrl = string | URL;

export interface ViaOptions {
  /** Gives up; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Milliseconds until the tunnel must be open. Default 30 000. Error: ProxyError `connect_timeout`. */
  readonly timeoutMs?: number;
  /** TLS towards an `https:` proxy, for example `{ ca }`. Verified unless you say otherwise. */
  readonly proxyTls?: ConnectionOptions;
}

const TIMEOUT_MS = 30_000;

/**
 * Opens a tunnel through a proxy with CONNECT (RFC 9110 §9.3.6) and returns the socket, ready to be read and written.
 * `target` is `host:port`. The name is resolved by the proxy. Bytes that the target sent first are not lost.
 * Rejects with a ProxyError: `proxy_auth_failed` for a 407, `parent_refused` for any other status but 2xx (its
 * `told` names it), `parent_protocol` for an answer that is not HTTP, `connect_failed` when the proxy is not there.
 */
export async function connectVia(
  proxy: ProxyUrl,
  target: string | Authority,
  options: ViaOptions = {},
): Promise<Duplex> {
  const url = new URL(proxy);
  const to = formatAuthority(typeof target === 'string' ? parseAuthority(target) : target);
  const signal = patience(options, url.host);
  const socket = dialProxy(url, options.proxyTls);
  try {
    socket.write(`CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n${credentials(url)}\r\n`, 'latin1');
    await tunnelOpens(socket, signal);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Aborts with the caller's reason, or with `connect_timeout` when the time is up. */
export function patience({ signal, timeoutMs = TIMEOUT_MS }: ViaOptions, proxy: string): AbortSignal {
  const own = new AbortController();
  const late = () => own.abort(new ProxyError('connect_timeout', `no connection through ${proxy} in ${timeoutMs} ms`));
  // An open tunnel waits for nothing any more; the timer alone keeps no process alive.
  setTimeout(late, timeoutMs).unref();
  return signal === undefined ? own.signal : AbortSignal.any([signal, own.signal]);
}

function dialProxy(url: URL, tls: ConnectionOptions | undefined): Socket {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  switch (url.protocol) {
    case 'http:':
      return connectTcp({ host, port: Number(url.port || 80), noDelay: true, allowHalfOpen: true });
    case 'https:': {
      return connectTls({ host, port: Number(url.port || 443), ...serverNameOf(host), ...tls });
    }
    default:
      throw new ProxyError('no_route', `${url.protocol} is no proxy that can be connected through`);
  }
}

function credentials({ username, password }: URL): string {
  if (username === '') return '';
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Proxy-Authorization: Basic ${Buffer.from(pair).toString('base64')}\r\n`;
}

/** Reads the proxy's answer and puts back what came behind it. */
function tunnelOpens(socket: Duplex, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const buffer = new HeadBuffer(HEAD_LIMITS);
    const finish = (settle: () => void) => {
      socket.off('readable', onReadable).off('error', onError).off('end', onEnd);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const refuse = (error: unknown) => finish(() => reject(error));
    const onAbort = () => refuse(signal.reason);
    const onEnd = () => refuse(new ProxyError('parent_protocol', 'the proxy closed the connection without an answer'));
    const onError = (cause: Error) => refuse(new ProxyError('connect_failed', cause.message, { cause }));
    const onReadable = () => {
      for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
        const progress = buffer.add(chunk);
        if (progress.at === 'refused')
          return refuse(new ProxyError('parent_protocol', `response head: ${progress.why}`));
        if (progress.at === 'more') continue;
        try {
          checkAnswer(progress.head);
        } catch (error) {
          return refuse(error);
        }
        if (progress.rest.length > 0) socket.unshift(progress.rest);
        return finish(resolve);
      }
    };
    if (signal.aborted) return onAbort();
    socket.on('readable', onReadable).on('error', onError).on('end', onEnd);
    signal.addEventListener('abort', onAbort);
  });
}

function checkAnswer(text: string): void {
  const { status, reason } = parseResponseHead(text, HEAD_LIMITS.fieldsMax, 'parent_protocol');
  if (status >= 200 && status < 300) return;
  const code = status === FAILURES.credentials_required.status ? 'proxy_auth_failed' : 'parent_refused';
  throw new ProxyError(code, `the proxy answered ${status} ${reason}`, { told: `It answered ${status}.` });
}
