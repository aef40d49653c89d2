import { once } from 'node:events';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { ProxyError } from '../../core/failure.ts';
import type { Authority } from '../../core/request.ts';
import { formatAuthority } from '../../protocol/authority.ts';
import { responseFraming } from '../../protocol/framing.ts';
import { HEAD_LIMITS } from '../../protocol/head-buffer.ts';
import { firstOf } from '../../protocol/header-list.ts';
import { parseResponseHead, type ResponseHead } from '../../protocol/response-head.ts';
import { Ear } from './ear.ts';
import { helloWatcher, startTls } from './inside-tls.ts';
import { maskedLines } from './mask.ts';
import { socketMeaning } from './meaning.ts';
import type { HeadSeen } from './steps.ts';
import { Stopped } from './stopped.ts';
import { Tap } from './tap.ts';
import type { Trace } from './trace.ts';

export interface Talk {
  readonly url: URL;
  readonly method: string;
  /** May carry a userinfo for the proxy. */
  readonly proxy: URL;
  /** `absolute-form` is for plain http only. */
  readonly way: 'tunnel' | 'absolute-form';
  /** What happens when the site shows a certificate that is not trusted. */
  readonly distrusted: 'stop' | 'go-on';
  readonly signal: AbortSignal;
}

/** The final answer of whoever gave one: the site, or the proxy in its place. */
export interface Answered {
  readonly status: number;
  readonly fields: readonly string[];
  readonly by: 'the site' | 'the proxy';
}

/** Speaks as a client through the proxy, and writes down everything it says and hears. Throws Stopped. */
export async function talk(plan: Talk, trace: Trace): Promise<Answered> {
  const socket = await reachProxy(plan, trace);
  // The error is told to whoever waits; when nobody does any more, it is of no interest.
  socket.on('error', () => {});
  const giveUp = () => socket.destroy(new Error('no answer in time'));
  plan.signal.addEventListener('abort', giveUp);
  if (plan.signal.aborted) giveUp();
  const counted = { up: 0, down: 0 };
  try {
    if (plan.way === 'tunnel') return await throughTunnel(plan, trace, socket, counted);
    const fields = [...hostAndAgent(plan.url.host), ...proxyAuthorization(plan.proxy), ...ONE_SHOT];
    const target = `${plan.url.origin}${plan.url.pathname}${plan.url.search}`;
    return await ask(plan.method, target, fields, socket, 'hop', trace);
  } catch (error) {
    const where = trace.steps.some(({ kind }) => kind === 'tunnel-open') ? 'the site, or the way to it' : 'the proxy';
    throw stopped(error, where);
  } finally {
    plan.signal.removeEventListener('abort', giveUp);
    const { bytesWritten: up, bytesRead: down } = transport(socket);
    const bytes = plan.way === 'tunnel' ? counted : { up, down };
    if (bytes.up + bytes.down > 0) trace.add({ kind: 'done', bytesUp: bytes.up, bytesDown: bytes.down });
    socket.destroy();
  }
}

const transport = (socket: Socket | TLSSocket): { bytesWritten: number; bytesRead: number } => socket;

async function reachProxy({ proxy, signal }: Talk, trace: Trace): Promise<Socket | TLSSocket> {
  const port = Number(proxy.port || (proxy.protocol === 'https:' ? 443 : 80));
  const host = bareHost(proxy.hostname);
  const tls = proxy.protocol === 'https:';
  const socket = tls ? connectTls({ host, port, servername: isIP(host) ? '' : host }) : connectTcp({ host, port });
  try {
    await once(socket, tls ? 'secureConnect' : 'connect', { signal });
  } catch (error) {
    socket.on('error', () => {}).destroy();
    const what = signal.aborted ? 'no answer in time' : socketMeaning(error);
    throw new Stopped({
      who: 'the proxy',
      what: `it cannot be reached at ${formatAuthority({ host, port })}: ${what}`,
      advice: 'is it running, and is that its port?',
    });
  }
  trace.add({
    kind: 'proxy-connected',
    from: addressText(socket.localAddress, socket.localPort),
    to: addressText(socket.remoteAddress, socket.remotePort),
    over: tls ? 'tls' : 'tcp',
  });
  return socket;
}

async function throughTunnel(
  plan: Talk,
  trace: Trace,
  socket: Duplex,
  counted: { up: number; down: number },
): Promise<Answered> {
  const { url } = plan;
  const site: Authority = {
    host: bareHost(url.hostname),
    port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)),
  };
  const target = formatAuthority(site);
  const head = ['CONNECT', ...hostAndAgent(target), ...proxyAuthorization(plan.proxy)];
  say(`CONNECT ${target} HTTP/1.1`, head.slice(1), socket, { role: 'connect', through: 'hop' }, trace);
  const ear = new Ear(socket);
  const { answer, fields } = await hear(ear, 'connect-answer', 'hop', trace);
  if (answer.status < 200 || answer.status > 299) {
    await hearRefusal(ear, answer, 'CONNECT', trace);
    return { status: answer.status, fields, by: 'the proxy' };
  }
  await ear.leave();
  trace.add({ kind: 'tunnel-open' });

  const hello = helloWatcher(trace);
  const tunnel = new Tap(socket, (direction, chunk) => {
    counted[direction] += chunk.length;
    if (direction === 'up' && url.protocol === 'https:') hello(chunk);
  });
  tunnel.on('error', () => {});
  const inside = url.protocol === 'https:' ? await startTls(plan, site, tunnel, trace) : tunnel;
  const through = url.protocol === 'https:' ? 'tls' : 'clear-tunnel';
  const fieldsInside = [...hostAndAgent(url.host), ...ONE_SHOT];
  return await ask(plan.method, `${url.pathname}${url.search}`, fieldsInside, inside, through, trace);
}

async function ask(
  method: string,
  target: string,
  fields: readonly string[],
  stream: Duplex,
  through: HeadSeen['through'],
  trace: Trace,
): Promise<Answered> {
  say(`${method} ${target} HTTP/1.1`, fields, stream, { role: 'request', through }, trace);
  const ear = new Ear(stream);
  const { answer, fields: answered } = await hear(ear, 'answer', through, trace);
  if (through === 'hop' && answer.status >= 400) await hearRefusal(ear, answer, method, trace);
  else {
    const { bytes, ended } = await ear.body(responseFraming(answer.headers, answer.status, method, answer.version));
    trace.add({ kind: 'body', bytes, ended });
  }
  return { status: answer.status, fields: answered, by: through === 'hop' ? 'the proxy' : 'the site' };
}

/** A proxy that says no often says why in words. */
async function hearRefusal(ear: Ear, answer: ResponseHead, method: string, trace: Trace): Promise<void> {
  // The method is not CONNECT for the framing: a refused CONNECT is answered like anything else (RFC 9110 §9.3.6).
  const framing = responseFraming(answer.headers, answer.status, method, answer.version);
  const { bytes, ended, start } = await ear.body(framing);
  const isText = /^text\/plain\b/i.test(firstOf(answer.headers, 'content-type') ?? '');
  const says = isText ? start.replace(/\s+/g, ' ').trim() : '';
  trace.add({ kind: 'body', bytes, ended, ...(says === '' ? {} : { says }) });
}

function say(
  start: string,
  fields: readonly string[],
  stream: Duplex,
  head: Pick<HeadSeen, 'role' | 'through'>,
  trace: Trace,
): void {
  const text = [start, ...fields].join('\r\n');
  trace.add({ kind: 'head', mark: '>', ...head, lines: maskedLines(text) });
  stream.write(`${text}\r\n\r\n`, 'latin1');
}

/** The final answer; what comes before it (1xx) is written down and passed over (RFC 9110 §15.2). */
async function hear(
  ear: Ear,
  role: 'connect-answer' | 'answer',
  through: HeadSeen['through'],
  trace: Trace,
): Promise<{ answer: ResponseHead; fields: readonly string[] }> {
  for (;;) {
    const text = await ear.head();
    const answer = parseResponseHead(text, HEAD_LIMITS.fieldsMax, 'origin_protocol');
    const lines = maskedLines(text);
    const { status } = answer;
    const final = status >= 200 || status === 101;
    trace.add({ kind: 'head', mark: '<', role: final ? role : 'interim', through, lines, status });
    if (final) return { answer, fields: lines.slice(1) };
  }
}

const hostAndAgent = (host: string): string[] => [`Host: ${host}`, 'User-Agent: viaduct-explain'];
/** One request on one connection: then its end is the end of the story. */
const ONE_SHOT: readonly string[] = ['Accept: */*', 'Connection: close'];

function proxyAuthorization({ username, password }: URL): string[] {
  if (username === '') return [];
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return [`Proxy-Authorization: Basic ${Buffer.from(pair).toString('base64')}`];
}

const bareHost = (hostname: string): string => hostname.replace(/^\[|\]$/g, '');
const addressText = (address: string | undefined, port: number | undefined): string =>
  formatAuthority({ host: address ?? '', port: port ?? 0 });

function stopped(error: unknown, who: string): Stopped {
  if (error instanceof Stopped) return error;
  const what = error instanceof ProxyError ? error.detail : socketMeaning(error);
  return new Stopped({ who, what }, { cause: error });
}
