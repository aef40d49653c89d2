import { ProxyError } from '../../contracts/failure.ts';
import { responseFraming } from '../../protocol/http1/framing.ts';
import type { ResponseHeadText } from '../../protocol/http1/response-head.ts';
import { PROXY_AUTH_REQUIRED, reusabilityOf } from '../../upstream/http/drain-response.ts';
import type { AuthSession } from '../../upstream-auth/auth-session.ts';
import { readHead, readRefusal, writeHead } from './messages.ts';
import type { ProxyConnection } from './proxy-connection.ts';
import { ResponseReader } from './response-reader.ts';
import type { Trace } from './trace.ts';

/** The response to a request that the proxy accepted, or refused for good. */
interface ProxyResponse {
  readonly reader: ResponseReader;
  readonly head: ResponseHeadText;
  readonly fields: readonly string[];
  /** Why no more credentials are sent to the proxy. */
  readonly why: string | undefined;
}

/** How a request authenticates at the proxy. */
export interface Authentication {
  /** Begins authentication at the proxy, where there are credentials for it. */
  readonly authenticate?: ((signal: AbortSignal) => Promise<AuthSession>) | undefined;
  readonly signal: AbortSignal;
}

/** Methods that may be sent twice (RFC 9110 §9.2.2); a CONNECT without a response has opened no tunnel. */
const REPEATED = new Set(['CONNECT', 'GET', 'HEAD', 'OPTIONS']);

/** Sends the request to the proxy, with credentials, until it responds with something other than 407. */
export async function sendAuthenticated(
  start: string,
  fields: readonly string[],
  role: 'connect' | 'request',
  { authenticate, signal }: Authentication,
  connection: ProxyConnection,
  trace: Trace,
): Promise<ProxyResponse> {
  using session = await authenticate?.(signal);
  const [method = '', uri = ''] = start.split(' ');
  const writer = role === 'connect' ? 'proxy' : 'proxy-or-target';
  let isFromProxy = writer === 'proxy';
  for (;;) {
    const known = (await session?.fieldsFor({ method, uri, body: 'none' }, connection.socket)) ?? [];
    const credentialFields = known.map(([name, value]) => `${name}: ${value}`);
    writeHead(start, [...fields, ...credentialFields], connection.socket, { role, through: 'hop' }, trace);
    const reader = new ResponseReader(connection.socket);
    const response = await readHead(reader, role === 'connect' ? 'connect-response' : 'response', 'hop', trace).catch(
      async (error: unknown) => {
        const mayRepeat = REPEATED.has(method) && !signal.aborted;
        const was = session?.isUnrequested && mayRepeat ? await session.onNoResponse(writer) : 'sent';
        if (was === 'sent') throw error;
        return undefined;
      },
    );
    if (response === undefined) {
      // As the proxy itself does: a server that does not respond to a login before its challenge gets a request without one first.
      await connection.reconnect();
      continue;
    }
    if (session === undefined || response.head.status !== PROXY_AUTH_REQUIRED) {
      await session?.onPassed(response.head, writer);
      return { reader, ...response, why: undefined };
    }
    const ended = await readRefusal(reader, response.head, method, trace);
    const framing = responseFraming(response.head.headers, response.head.status, method, response.head.version);
    const reusability = ended === 'complete' ? reusabilityOf(response.head, framing) : 'closed';
    try {
      if (!isFromProxy) {
        await connection.reconnect();
        if (!(await proxyRequiresAuth(connection, trace))) return { reader, ...response, why: TARGET_SENT_407 };
        isFromProxy = true;
      }
      const next = await session.onRefused(response.head, reusability);
      if (next === 'same-connection') await reader.detach();
      else await connection.reconnect();
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      return { reader, ...response, why: error.clientDetail ?? error.detail };
    }
  }
}

const TARGET_SENT_407 =
  'The destination responded with 407, not the proxy, which forwards this request; only a proxy may require that.';

/** Whether the proxy itself responds with 407: a TRACE that may go no further reaches nothing behind it (RFC 9110 §7.6.2). */
async function proxyRequiresAuth(connection: ProxyConnection, trace: Trace): Promise<boolean> {
  writeHead(
    'TRACE http://viaduct.invalid/ HTTP/1.1',
    ['Host: viaduct.invalid', 'Max-Forwards: 0'],
    connection.socket,
    { role: 'request', through: 'hop' },
    trace,
  );
  const reader = new ResponseReader(connection.socket);
  const { head } = await readHead(reader, 'response', 'hop', trace);
  await readRefusal(reader, head, 'TRACE', trace);
  await connection.reconnect();
  return head.status === PROXY_AUTH_REQUIRED;
}
