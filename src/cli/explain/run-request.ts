import type { Duplex } from 'node:stream';
import { ProxyError } from '../../contracts/failure.ts';
import type { Authority } from '../../contracts/request.ts';
import { formatAuthority } from '../../protocol/addresses/authority.ts';
import type { TlsSettings } from '../../upstream/tls/trust.ts';
import { ExplainError } from './explain-error.ts';
import { helloWatcher, startTls } from './inside-tls.ts';
import { socketMeaning } from './meaning.ts';
import { readHead, readRefusal, readResponse, writeHead } from './messages.ts';
import { bareHost, ProxyConnection } from './proxy-connection.ts';
import { ResponseReader } from './response-reader.ts';
import { type Authentication, sendAuthenticated } from './send-authenticated.ts';
import { isSocks, openSocksTunnel } from './socks.ts';
import type { HeadStep } from './steps.ts';
import { Tap } from './tap.ts';
import type { Trace } from './trace.ts';

export interface RequestPlan extends Authentication {
  readonly url: URL;
  readonly method: string;
  readonly proxy: URL;
  /** How to verify an `https:` proxy. Default: by what this machine trusts. */
  readonly trust?: TlsSettings | undefined;
  /** `absolute-form` is for plain http only. */
  readonly mode: 'tunnel' | 'absolute-form';
  /** What happens when the site shows a certificate that is not trusted. */
  readonly distrusted: 'stop' | 'go-on';
}

/** The final response, of the site or of the proxy in its place. */
export interface FinalResponse {
  readonly status: number;
  readonly fields: readonly string[];
  readonly by: 'the site' | 'the proxy';
  /** Why no credentials were sent after a 407, or why they were not accepted. */
  readonly why: string | undefined;
}

/** Sends the request through the proxy, and records every head that is sent and received. Throws ExplainError. */
export async function runRequest(plan: RequestPlan, trace: Trace): Promise<FinalResponse> {
  if (isSocks(plan.proxy)) return await runRequestOverSocks(plan, trace);
  using connection = await ProxyConnection.open(plan, trace);
  const giveUp = () => connection.socket.destroy(new Error('no response in time'));
  plan.signal.addEventListener('abort', giveUp);
  if (plan.signal.aborted) giveUp();
  const counted = { up: 0, down: 0 };
  try {
    if (plan.mode === 'tunnel') return await throughTunnel(plan, trace, connection, counted);
    return await sendAbsoluteForm(plan, trace, connection);
  } catch (error) {
    const where = trace.steps.some(({ kind }) => kind === 'tunnel-open') ? 'the site, or the route to it' : 'the proxy';
    throw toExplainError(error, where);
  } finally {
    plan.signal.removeEventListener('abort', giveUp);
    const { bytesWritten: up, bytesRead: down } = connection;
    const bytes = plan.mode === 'tunnel' ? counted : { up, down };
    if (bytes.up + bytes.down > 0) trace.add({ kind: 'done', bytesUp: bytes.up, bytesDown: bytes.down });
  }
}

/** The SOCKS exchange ends when the proxy accepts; what follows is as in any tunnel. */
async function runRequestOverSocks(plan: RequestPlan, trace: Trace): Promise<FinalResponse> {
  const socket = await openSocksTunnel(plan.proxy, siteOf(plan.url), plan.signal, trace);
  const giveUp = () => socket.destroy(new Error('no response in time'));
  plan.signal.addEventListener('abort', giveUp);
  const counted = { up: 0, down: 0 };
  try {
    return await insideTunnel(plan, trace, socket, counted);
  } catch (error) {
    throw toExplainError(error, 'the site, or the route to it');
  } finally {
    plan.signal.removeEventListener('abort', giveUp);
    socket.destroy();
    if (counted.up + counted.down > 0) trace.add({ kind: 'done', bytesUp: counted.up, bytesDown: counted.down });
  }
}

const siteOf = (url: URL): Authority => ({
  host: bareHost(url.hostname),
  port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)),
});

async function throughTunnel(
  plan: RequestPlan,
  trace: Trace,
  connection: ProxyConnection,
  counted: { up: number; down: number },
): Promise<FinalResponse> {
  const target = formatAuthority(siteOf(plan.url));
  const startLine = `CONNECT ${target} HTTP/1.1`;
  const { reader, head, fields, why } = await sendAuthenticated(
    startLine,
    hostAndAgent(target),
    'connect',
    plan,
    connection,
    trace,
  );
  if (head.status < 200 || head.status > 299) {
    if (why === undefined) await readRefusal(reader, head, 'CONNECT', trace);
    return { status: head.status, fields, by: 'the proxy', why };
  }
  await reader.detach();
  return await insideTunnel(plan, trace, connection.socket, counted);
}

async function insideTunnel(
  plan: RequestPlan,
  trace: Trace,
  socket: Duplex,
  counted: { up: number; down: number },
): Promise<FinalResponse> {
  const { url } = plan;
  trace.add({ kind: 'tunnel-open' });
  const hello = helloWatcher(trace);
  const tunnel = new Tap(socket, (direction, chunk) => {
    counted[direction] += chunk.length;
    if (direction === 'up' && url.protocol === 'https:') hello(chunk);
  });
  tunnel.on('error', () => {});
  const inside = url.protocol === 'https:' ? await startTls(plan, siteOf(url), tunnel, trace) : tunnel;
  const through = url.protocol === 'https:' ? 'tls' : 'clear-tunnel';
  const fieldsInside = [...hostAndAgent(url.host), ...ONE_SHOT];
  return await sendRequest(plan.method, `${url.pathname}${url.search}`, fieldsInside, inside, through, trace);
}

/** The whole URL to the proxy. `Connection: close` only without credentials: authentication may need the connection again. */
async function sendAbsoluteForm(plan: RequestPlan, trace: Trace, connection: ProxyConnection): Promise<FinalResponse> {
  const { url, method } = plan;
  const fields = [...hostAndAgent(url.host), ...(plan.authenticate === undefined ? ONE_SHOT : ANY)];
  const start = `${method} ${url.origin}${url.pathname}${url.search} HTTP/1.1`;
  const {
    reader,
    head,
    fields: received,
    why,
  } = await sendAuthenticated(start, fields, 'request', plan, connection, trace);
  if (why === undefined) await readResponse(reader, head, method, 'hop', trace);
  return { status: head.status, fields: received, by: 'the proxy', why };
}

async function sendRequest(
  method: string,
  target: string,
  fields: readonly string[],
  stream: Duplex,
  through: HeadStep['through'],
  trace: Trace,
): Promise<FinalResponse> {
  writeHead(`${method} ${target} HTTP/1.1`, fields, stream, { role: 'request', through }, trace);
  const reader = new ResponseReader(stream);
  const { head, fields: received } = await readHead(reader, 'response', through, trace);
  await readResponse(reader, head, method, through, trace);
  return { status: head.status, fields: received, by: 'the site', why: undefined };
}

const hostAndAgent = (host: string): string[] => [`Host: ${host}`, 'User-Agent: viaduct-explain'];
const ANY: readonly string[] = ['Accept: */*'];
/** The connection serves this request alone, so that its end is the end of the response. */
const ONE_SHOT: readonly string[] = [...ANY, 'Connection: close'];

function toExplainError(error: unknown, who: string): ExplainError {
  if (error instanceof ExplainError) return error;
  const what = error instanceof ProxyError ? error.detail : socketMeaning(error);
  return new ExplainError({ who, what }, { cause: error });
}
