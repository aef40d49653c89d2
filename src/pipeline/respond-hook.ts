import { Readable } from 'node:stream';
import { askHook } from '../contracts/ask-hook.ts';
import { HookContext } from '../contracts/context.ts';
import { awaitDecision } from '../contracts/deadline.ts';
import type { ResponseHead } from '../contracts/message.ts';
import { type FieldsInput, type ResponseInput, responseHead } from '../contracts/own-response.ts';
import type { ForwardRequest } from '../contracts/request.ts';
import type { HookResponse, RespondHook } from '../contracts/respond-hook.ts';
import type { AdmittedRequest } from '../contracts/stages.ts';
import { httpDate } from '../protocol/http1/http-date.ts';
import { receivedProtocol, viaMember } from '../protocol/http1/via.ts';
import type { Services } from './services.ts';
import { StreamBody } from './stream-body.ts';

export interface OwnResponse extends Disposable {
  readonly head: ResponseHead;
  /** `undefined`: the response has none. */
  readonly body: StreamBody | undefined;
}

/** What the hook answers; `undefined`: the request goes on. */
export async function ownResponse(
  hook: RespondHook,
  { request, principal }: AdmittedRequest<ForwardRequest>,
  { clock, identity }: Services,
): Promise<OwnResponse | undefined> {
  const asked = askHook(
    'respond',
    () => hook(new HookContext(request, principal)),
    (answer) => (answer === null || answer === undefined ? undefined : responseOf(answer, request.method)),
  );
  const response = asked instanceof Promise ? await settledInTime(asked, request, clock) : asked;
  if (response === undefined) return undefined;
  const { head, body } = response;
  const headers = [
    ...head.headers,
    ['Via', viaMember(receivedProtocol(request.protocol), identity.pseudonym)] as const,
  ];
  if (!headers.some(([name]) => name.toLowerCase() === 'date')) headers.push(['Date', httpDate(clock.wallMs())]);
  return { head: { ...head, headers }, body, [Symbol.dispose]: () => body?.[Symbol.dispose]() };
}

/** A response that comes when its client has left is destroyed, with its stream. */
function settledInTime(
  asked: Promise<Answered | undefined>,
  { signal }: ForwardRequest,
  clock: Services['clock'],
): Promise<Answered | undefined> {
  const checked = asked.then((response) => {
    if (signal.aborted) response?.body?.[Symbol.dispose]();
    return response;
  });
  return awaitDecision(checked, { signal, clock }, 'respond');
}

interface Answered {
  readonly head: ResponseHead;
  readonly body: StreamBody | undefined;
}

/** A program may be written in JavaScript, so the type of its answer is checked. */
function responseOf(answer: HookResponse | Response, method: string): Answered {
  if (typeof answer !== 'object') throw new TypeError(`returned a ${typeof answer}; write { status, headers, body }`);
  const input: ResponseInput = isWebResponse(answer)
    ? { status: answer.status, reason: answer.statusText, headers: headersOf(answer) }
    : answer;
  const head = responseHead(input, 200);
  const content = answer.body ?? '';
  const hasNoBody = method === 'HEAD' || head.status === 204 || head.status === 304;
  const isSized = typeof content === 'string' || content instanceof Uint8Array;
  const bytes = typeof content === 'string' ? Buffer.byteLength(content) : isSized ? content.length : undefined;
  if (hasNoBody) {
    if (!isSized) streamOf(content).destroy();
    if (method !== 'HEAD' || bytes === undefined) return { head, body: undefined };
    // What a GET would get (RFC 9110 §8.6).
    return { head: { ...head, headers: [...head.headers, ['Content-Length', String(bytes)]] }, body: undefined };
  }
  const stream = isSized ? Readable.from([Buffer.from(content)], { objectMode: false }) : streamOf(content);
  return { head, body: new StreamBody(stream, bytes === undefined ? { kind: 'chunked' } : { kind: 'length', bytes }) };
}

/** By shape: that of the package undici is no `instanceof` Node's. */
const isWebResponse = (answer: HookResponse | Response): answer is Response => 'bodyUsed' in answer;

/** What `fetch` takes from the body that it gives. A coding that it does not know is left, with that field. */
const DECODED: ReadonlySet<string> = new Set(['br', 'deflate', 'gzip', 'x-gzip', 'zstd']);

/** A response of `fetch` has kept the fields of its origin, and its body is no longer as they say. */
function headersOf({ url, headers }: Response): FieldsInput {
  const coding = headers.get('content-encoding');
  const isDecoded = coding?.split(',').every((one) => DECODED.has(one.trim().toLowerCase()));
  if (url === '' || isDecoded !== true) return headers;
  return [...headers].filter(([name]) => name !== 'content-encoding');
}

/** A stream itself, where it is one: around another one, destroying would wait for its next chunk. */
function streamOf(content: AsyncIterable<string | Uint8Array>): Readable {
  if (content instanceof Readable) return content;
  if (content instanceof ReadableStream) return Readable.fromWeb(content);
  if (typeof content === 'object' && Symbol.asyncIterator in content) return Readable.from(content);
  throw new TypeError('body: write text, bytes or a stream');
}
