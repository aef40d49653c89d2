import { constants, type Http2Stream } from 'node:http2';
import { ProxyError } from '../../contracts/failure.ts';
import type { Body, Framing, Headers } from '../../contracts/request.ts';
import type { Receiver } from '../../contracts/wire.ts';
import { Http2StreamError, type Http2Wire } from '../../net/http2-wire.ts';

/** The body of a request in HTTP/2: what its stream delivers, and trailers behind it. */
export class Http2Body implements Body {
  readonly framing: Framing;
  trailers: Headers = [];
  readonly #wire: Http2Wire;

  constructor(wire: Http2Wire, http2: Http2Stream, framing: Framing) {
    this.framing = framing;
    this.#wire = wire;
    http2.on('trailers', (_headers, _flags, raw?: readonly string[]) => {
      this.trailers = pairs(raw ?? []);
    });
  }

  deliverTo(receiver: Receiver | undefined): void {
    this.#wire.deliverTo(
      receiver && {
        bytes: (chunk, ownership) => receiver.bytes(chunk, ownership),
        end: () => receiver.end(),
        failed: (error) => receiver.failed(bodyFailure(error)),
      },
    );
  }

  pause(): void {
    this.#wire.pause();
  }

  resume(): void {
    this.#wire.resume();
  }

  lend(): void {}
}

/** nghttp2 resets a stream whose data differ from its content-length (RFC 9113 §8.1.1). */
export const lengthMismatch = (cause?: Error): ProxyError =>
  new ProxyError('bad_request', 'the body differs from its content-length', { cause });

const bodyFailure = (cause: Error): ProxyError =>
  cause instanceof Http2StreamError && cause.streamCode === constants.NGHTTP2_PROTOCOL_ERROR
    ? lengthMismatch(cause)
    : new ProxyError('client_gone', 'the client has given up the request', { cause });

function pairs(raw: readonly string[]): Headers {
  const fields: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) fields.push([raw[at] ?? '', raw[at + 1] ?? '']);
  return fields;
}
