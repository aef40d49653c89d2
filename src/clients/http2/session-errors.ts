import { constants, type ServerHttp2Session } from 'node:http2';
import { isNativeError } from 'node:util/types';
import { ProxyError } from '../../contracts/failure.ts';

/**
 * Of nghttp2: it has queued too many replies; it has seen too many CONTINUATION frames; or Node has made it give up, after
 * too many streams beyond the concurrency limit or too many empty frames.
 */
const FLOODS: ReadonlySet<unknown> = new Set([-904, -905, -902]);

/** NGHTTP2_ERR_PROTO. */
const PROTOCOL_ERROR: unknown = -505;

const isFlood = (error: unknown): boolean => isNativeError(error) && 'errno' in error && FLOODS.has(error.errno);

/** Why a session has ended, for its record. */
export function sessionFailure(error: Error): ProxyError {
  if (error instanceof ProxyError) return error;
  return new ProxyError(isFlood(error) ? 'excessive_load' : 'bad_request', `HTTP/2: ${error.message}`, {
    cause: error,
  });
}

const isProtocolError = (error: unknown): boolean =>
  isNativeError(error) && 'errno' in error && error.errno === PROTOCOL_ERROR;

/**
 * The session, which ends for what RFC 9113 calls an error of a connection, and by its code. Node ends it by a call of its
 * `destroy` with an error alone. Of a flood it then says INTERNAL_ERROR (§7): a client would take the fault for ours, and come
 * again at once. And it ends the session for a body that differs from its content-length, which is an error of one stream
 * (§8.1.1): nghttp2 has reset that, and goes on. `faultyStreams`: how many streams have ended with PROTOCOL_ERROR.
 */
export function withRightEnds(session: ServerHttp2Session, faultyStreams: () => number): ServerHttp2Session {
  const { destroy } = session;
  let isPending = false;
  const judge = (error: Error | undefined, before: number): void => {
    isPending = false;
    if (!session.destroyed && faultyStreams() === before) destroy.call(session, error);
  };
  session.destroy = (error, code) => {
    if (code !== undefined || !isProtocolError(error))
      return destroy.call(session, error, code ?? (isFlood(error) ? constants.NGHTTP2_ENHANCE_YOUR_CALM : undefined));
    // nghttp2 sends its frame, RST_STREAM or GOAWAY, before the next turn.
    if (isPending) return;
    isPending = true;
    const before = faultyStreams();
    setImmediate(() => judge(error, before));
  };
  return session;
}
