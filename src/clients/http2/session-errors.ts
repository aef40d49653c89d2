import { constants, type ServerHttp2Session } from 'node:http2';
import { isNativeError } from 'node:util/types';
import { ProxyError } from '../../contracts/failure.ts';

/**
 * Of nghttp2: it has queued too many replies; it has seen too many CONTINUATION frames; or Node has made it give up, after
 * too many streams beyond the concurrency limit or too many empty frames.
 */
const FLOODS: ReadonlySet<unknown> = new Set([-904, -905, -902]);

const isFlood = (error: unknown): boolean => isNativeError(error) && 'errno' in error && FLOODS.has(error.errno);

/** Why a session has ended, for its record. */
export function sessionFailure(error: Error): ProxyError {
  if (error instanceof ProxyError) return error;
  return new ProxyError(isFlood(error) ? 'excessive_load' : 'bad_request', `HTTP/2: ${error.message}`, {
    cause: error,
  });
}

/**
 * The session, which tells a client that floods it to be calm. Node ends such a session by a call of its `destroy` with an
 * error alone, and then says INTERNAL_ERROR (RFC 9113 §7): a client would take the fault for ours, and come again at once.
 */
export function calmly(session: ServerHttp2Session): ServerHttp2Session {
  const { destroy } = session;
  session.destroy = (error, code) =>
    destroy.call(session, error, code ?? (isFlood(error) ? constants.NGHTTP2_ENHANCE_YOUR_CALM : undefined));
  return session;
}
