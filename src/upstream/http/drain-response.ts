import { asProxyError, isWithoutResponse, ProxyError } from '../../contracts/failure.ts';
import type { Framing } from '../../contracts/request.ts';
import type { Connection } from '../../contracts/stages.ts';
import { BodyReader } from '../../protocol/http1/body-reader.ts';
import { responseFraming } from '../../protocol/http1/framing.ts';
import { tokensOf } from '../../protocol/http1/header-list.ts';
import type { ResponseHeadText } from '../../protocol/http1/response-head.ts';
import type { Reusability } from '../../upstream-auth/auth-response.ts';
import type { ResponseTimer } from '../response-timer.ts';
import type { ReceivedHead } from './read-head.ts';

/** The page of a 407, which no client sees. Reading a longer one costs more than another connection. */
const PAGE_BYTES_MAX = 64 * 1024;
const NOTHING = Buffer.alloc(0);

/** Proxy Authentication Required (RFC 9110 §15.5.8). 401 is the origin's, and passed on. */
export const PROXY_AUTH_REQUIRED = 407;

/** A response whose body may still be on the connection. */
export interface ReceivedResponse {
  readonly received: ReceivedHead;
  /** Of the request: it decides whether the response has a body. */
  readonly method: string;
}

/** Whether a message got no response that can be read, though the peer may have read the message. */
export const isWithoutResponseError = (error: unknown): error is ProxyError =>
  error instanceof ProxyError && isWithoutResponse(error.code);

/** As far as the head tells. */
export function reusabilityOf({ headers, version }: ResponseHeadText, framing: Framing): Reusability {
  const tokens = ['connection', 'proxy-connection'].flatMap((name) => tokensOf(headers, name));
  if (framing.kind === 'until-close' || tokens.includes('close')) return 'closed';
  return version === '1.0' && !tokens.includes('keep-alive') ? 'doubtful' : 'open';
}

/** Reads the body of a proxy's response to its end and drops it. Returns whether another message may follow. */
export async function drainBody(
  connection: Connection,
  { received: { head, rest }, method }: ReceivedResponse,
  timer: () => ResponseTimer,
): Promise<Reusability> {
  const framing = framingOf(head, method);
  const reusability = reusabilityOf(head, framing);
  if (reusability === 'closed' || framing.kind === 'none') return rest.length === 0 ? reusability : 'closed';
  using limit = timer();
  limit.begin();
  const isWhole = await readWhole(connection, framing, rest, limit);
  return isWhole ? reusability : 'closed';
}

/** A contradiction in the head is the proxy's fault: no origin wrote this response. */
function framingOf(head: ResponseHeadText, method: string): Framing {
  try {
    return responseFraming(head.headers, head.status, method, head.version);
  } catch (cause) {
    const { detail } = asProxyError(cause);
    throw new ProxyError('upstream_protocol', `its response ${head.status}: ${detail}`, { cause });
  }
}

/** Resolves with whether the body came to its end, and nothing behind it. Rejects when the timer ends. */
function readWhole(
  { wire }: Connection,
  framing: Exclude<Framing, { kind: 'none' }>,
  rest: Buffer,
  timer: ResponseTimer,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    let behind: Buffer = NOTHING;
    const finish = (settle: () => void) => {
      timer.onTimeout(undefined);
      wire.deliverTo(undefined);
      settle();
    };
    const body = new BodyReader(wire, framing, rest, {
      done(more) {
        behind = more;
      },
      truncated: 'upstream_closed',
      broken: 'upstream_closed',
      malformed: 'upstream_protocol',
    });
    timer.onTimeout((reason) => {
      body.deliverTo(undefined);
      finish(() => reject(reason));
    });
    body.deliverTo({
      bytes(chunk) {
        bytes += chunk.length;
        if (bytes <= PAGE_BYTES_MAX) return;
        body.deliverTo(undefined);
        finish(() => resolve(false));
      },
      end: () => finish(() => resolve(behind.length === 0)),
      failed: () => finish(() => resolve(false)),
    });
  });
}
