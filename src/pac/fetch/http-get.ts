import { connect, isIPv6, type LookupFunction, type Socket } from 'node:net';
import type { SecureHop } from '../../contracts/dialing.ts';
import type { Headers } from '../../contracts/request.ts';
import type { Connection } from '../../contracts/stages.ts';
import type { ByteSource, Receiver, Wire } from '../../contracts/wire.ts';
import { StreamWire } from '../../net/node-wire.ts';
import { urlAuthority } from '../../protocol/addresses/authority.ts';
import { BodyReader } from '../../protocol/http1/body-reader.ts';
import { responseFraming } from '../../protocol/http1/framing.ts';
import { HeadBuffer, RESPONSE_HEAD_LIMITS } from '../../protocol/http1/head-buffer.ts';
import { printFields } from '../../protocol/http1/header-list.ts';
import { Repairs } from '../../protocol/http1/response-fields.ts';
import { parseResponseHead, type ResponseHeadText } from '../../protocol/http1/response-head.ts';
import { parseProxyUrl } from '../../protocol/routes/proxy-url.ts';

/** Interim responses (1xx). This client requests none. */
const INTERIM_MAX = 8;
const NOTHING: Buffer = Buffer.alloc(0);

/** The body exceeds the limit. */
export class TooLargeError extends Error {
  override readonly name = 'TooLargeError';
}

export interface GetScope {
  readonly signal: AbortSignal;
  readonly secure: SecureHop;
}

/** A response whose body may still be arriving; disposing it closes the connection. */
export interface HttpResponse extends Disposable {
  readonly head: ResponseHeadText;
  /** The whole body, without the chunked coding. Rejects when it is longer, or truncated. */
  body(bytesMax: number): Promise<Buffer>;
}

/**
 * One GET on a connection of its own, directly to one of the addresses. Unlike Node's client it uses no proxy of the
 * environment (NODE_USE_ENV_PROXY) and no lenient parser (--insecure-http-parser), and over TLS it detects a truncated
 * body. Rejects with an Error whose message is shown to the user, or with the signal's reason.
 */
export async function httpGet(
  url: URL,
  fields: Headers,
  addresses: readonly string[],
  scope: GetScope,
): Promise<HttpResponse> {
  const connection = await open(url, addresses, scope);
  try {
    const response = await sendRequest(connection, requestText(url, fields), scope.signal);
    return {
      head: response.head,
      body: (bytesMax) => bodyOf(connection, response, bytesMax, scope.signal),
      [Symbol.dispose]: () => connection[Symbol.dispose](),
    };
  } catch (error) {
    connection[Symbol.dispose]();
    throw error;
  }
}

async function open(url: URL, addresses: readonly string[], { signal, secure }: GetScope): Promise<Connection> {
  const { host, port } = urlAuthority(url);
  const socket = await tcpTo(host, port, addresses, signal);
  const connection: Connection = {
    wire: new StreamWire(socket),
    early: NOTHING,
    address: socket.remoteAddress,
    [Symbol.dispose]: () => void socket.destroy(),
  };
  if (url.protocol !== 'https:') return connection;
  return await secure(connection, parseProxyUrl(`https://${url.hostname}:${port}`, 'user'), { signal }, 'messages');
}

function tcpTo(host: string, port: number, addresses: readonly string[], signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const socket = connect({ host, port, lookup: lookupAmong(addresses), allowHalfOpen: true });
    const finish = (settle: () => void) => {
      socket.off('connect', onConnect).off('error', onError);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onConnect = () => finish(() => resolve(socket));
    const onError = (error: Error) => finish(() => reject(error));
    const onAbort = () => {
      finish(() => reject(signal.reason));
      socket.on('error', () => undefined).destroy();
    };
    socket.on('connect', onConnect).on('error', onError);
    signal.addEventListener('abort', onAbort);
  });
}

/** Exactly the addresses that were checked. */
const lookupAmong =
  (addresses: readonly string[]): LookupFunction =>
  (_host, { all }, callback) => {
    const found = addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }));
    const [first] = found;
    if (first === undefined) callback(new Error('no address'), '');
    else if (all === true) callback(null, found);
    else callback(null, first.address, first.family);
  };

function requestText(url: URL, fields: Headers): string {
  const login = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  const own: Headers = login === ':' ? [] : [['Authorization', `Basic ${Buffer.from(login).toString('base64')}`]];
  const all: Headers = [...fields, ...own, ['Host', url.host], ['Connection', 'close']];
  return `GET ${url.pathname}${url.search} HTTP/1.1\r\n${printFields(all)}\r\n`;
}

interface ResponseStart {
  readonly head: ResponseHeadText;
  readonly rest: Buffer;
}

/** Writes the request and reads the head of the final response. */
async function sendRequest({ wire }: Connection, request: string, signal: AbortSignal): Promise<ResponseStart> {
  wire.stream.write(request, 'latin1');
  let early = NOTHING;
  for (let seen = 0; seen <= INTERIM_MAX; seen++) {
    const response = await headFrom(wire, early, signal);
    if (response.head.status >= 200 || response.head.status === 101) return response;
    early = response.rest;
  }
  throw new Error(`the server sends more than ${INTERIM_MAX} interim responses`);
}

function headFrom(wire: Wire, early: Buffer, signal: AbortSignal): Promise<ResponseStart> {
  const buffer = new HeadBuffer(RESPONSE_HEAD_LIMITS, 'lf-too');
  return reading<ResponseStart>(wire, signal, (resolve, reject) => {
    const bytes = (chunk: Buffer) => {
      const progress = buffer.add(chunk);
      if (progress.at === 'refused') return reject(new Error(`the response is not HTTP: ${progress.why}`));
      if (progress.at === 'more') return;
      const head = parseResponseHead(progress.head, RESPONSE_HEAD_LIMITS.fieldsMax, 'origin_protocol');
      resolve({ head, rest: progress.rest });
    };
    const broken = (cause?: Error) =>
      reject(new Error('the server closed the connection without a response', { cause }));
    return { early, receiver: { bytes, end: () => broken(), failed: broken } };
  });
}

function bodyOf(
  { wire }: Connection,
  { head: { headers, status, version }, rest }: ResponseStart,
  bytesMax: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const framing = responseFraming(headers, status, 'GET', version);
  if (framing.kind === 'none') return Promise.resolve(NOTHING);
  const body = new BodyReader(wire, framing, rest, {
    done: () => undefined,
    truncated: 'response_incomplete',
    broken: 'response_incomplete',
    malformed: 'origin_protocol',
    repairs: new Repairs(),
  });
  const chunks: Buffer[] = [];
  let length = 0;
  return reading<Buffer>(body, signal, (resolve, reject) => ({
    early: NOTHING,
    receiver: {
      bytes(chunk) {
        length += chunk.length;
        if (length > bytesMax) reject(new TooLargeError('the body is too large'));
        else chunks.push(Buffer.from(chunk));
      },
      end: () => resolve(Buffer.concat(chunks)),
      failed: reject,
    },
  }));
}

/** Reads until the receiver resolves or rejects, or the signal aborts. */
function reading<T>(
  source: ByteSource,
  signal: AbortSignal,
  begin: (
    resolve: (value: T) => void,
    reject: (error: Error) => void,
  ) => { readonly early: Buffer; readonly receiver: Receiver },
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const settle = (how: () => void) => {
      source.deliverTo(undefined);
      signal.removeEventListener('abort', onAbort);
      how();
    };
    const onAbort = () => settle(() => reject(signal.reason));
    const fail = (error: Error) => settle(() => reject(error));
    const { early, receiver } = begin((value) => settle(() => resolve(value)), fail);
    const bytes: Receiver['bytes'] = (chunk, ownership) => {
      try {
        receiver.bytes(chunk, ownership);
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)));
      }
    };
    signal.addEventListener('abort', onAbort);
    source.deliverTo({ ...receiver, bytes });
    if (early.length > 0) bytes(early, 'fresh');
  });
}
