import type { Duplex } from 'node:stream';
import { ProxyError } from '../../core/failure.ts';
import type { Authority } from '../../core/request.ts';
import { formatAuthority } from '../../protocol/authority.ts';
import { responseFraming } from '../../protocol/framing.ts';
import { HEAD_LIMITS } from '../../protocol/head-buffer.ts';
import { firstOf } from '../../protocol/header-list.ts';
import { parseResponseHead, type ResponseHead } from '../../protocol/response-head.ts';
import type { Introduction } from '../../upstream/auth/introduction.ts';
import { ASKS_WHO_WE_ARE, fitOf } from '../../upstream/handshake.ts';
import { type Heard as Body, Ear } from './ear.ts';
import { helloWatcher, startTls } from './inside-tls.ts';
import { bareHost, Line } from './line.ts';
import { maskedLines } from './mask.ts';
import { socketMeaning } from './meaning.ts';
import type { HeadSeen } from './steps.ts';
import { Stopped } from './stopped.ts';
import { Tap } from './tap.ts';
import { tokenPart } from './tokens.ts';
import type { Trace } from './trace.ts';

export interface Talk {
  readonly url: URL;
  readonly method: string;
  readonly proxy: URL;
  /** `absolute-form` is for plain http only. */
  readonly way: 'tunnel' | 'absolute-form';
  /** What happens when the site shows a certificate that is not trusted. */
  readonly distrusted: 'stop' | 'go-on';
  /** Begins to say who we are at the proxy, where that is known. */
  readonly introduce?: ((signal: AbortSignal) => Promise<Introduction>) | undefined;
  readonly signal: AbortSignal;
}

/** The final answer of whoever gave one: the site, or the proxy in its place. */
export interface Answered {
  readonly status: number;
  readonly fields: readonly string[];
  readonly by: 'the site' | 'the proxy';
  /** Why it was not told who we are, or did not believe it, where it asked. */
  readonly why: string | undefined;
}

/** Speaks as a client through the proxy, and writes down everything it says and hears. Throws Stopped. */
export async function talk(plan: Talk, trace: Trace): Promise<Answered> {
  using line = await Line.open(plan, trace);
  const giveUp = () => line.socket.destroy(new Error('no answer in time'));
  plan.signal.addEventListener('abort', giveUp);
  if (plan.signal.aborted) giveUp();
  const counted = { up: 0, down: 0 };
  try {
    if (plan.way === 'tunnel') return await throughTunnel(plan, trace, line, counted);
    return await absolutely(plan, trace, line);
  } catch (error) {
    const where = trace.steps.some(({ kind }) => kind === 'tunnel-open') ? 'the site, or the way to it' : 'the proxy';
    throw stopped(error, where);
  } finally {
    plan.signal.removeEventListener('abort', giveUp);
    const { bytesWritten: up, bytesRead: down } = line;
    const bytes = plan.way === 'tunnel' ? counted : { up, down };
    if (bytes.up + bytes.down > 0) trace.add({ kind: 'done', bytesUp: bytes.up, bytesDown: bytes.down });
  }
}

interface Heard {
  readonly ear: Ear;
  readonly answer: ResponseHead;
  readonly fields: readonly string[];
  /** Why the proxy is told nothing more about who we are. */
  readonly why: string | undefined;
}

/** Says it to the proxy, with what there is to say about who we are, until it no longer asks. */
async function sayKnown(
  start: string,
  fields: readonly string[],
  role: 'connect' | 'request',
  { introduce, signal }: Talk,
  line: Line,
  trace: Trace,
): Promise<Heard> {
  using introduction = await introduce?.(signal);
  const [method = '', uri = ''] = start.split(' ');
  for (;;) {
    const known = (await introduction?.fields({ method, uri, body: 'none' }, line.socket)) ?? [];
    const told = known.map(([name, value]) => `${name}: ${value}`);
    say(start, [...fields, ...told], line.socket, { role, through: 'hop' }, trace);
    const ear = new Ear(line.socket);
    const heard = await hear(ear, role === 'connect' ? 'connect-answer' : 'answer', 'hop', trace);
    if (introduction === undefined || heard.answer.status !== ASKS_WHO_WE_ARE) {
      await introduction?.accepted(heard.answer);
      return { ear, ...heard, why: undefined };
    }
    const ended = await hearRefusal(ear, heard.answer, method, trace);
    const framing = responseFraming(heard.answer.headers, heard.answer.status, method, heard.answer.version);
    const fit = ended === 'complete' ? fitOf(heard.answer, framing) : 'closed';
    try {
      const next = await introduction.refused(heard.answer, fit);
      if (next === 'same-connection') await ear.leave();
      else await line.renew();
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      return { ear, ...heard, why: error.told ?? error.detail };
    }
  }
}

async function throughTunnel(
  plan: Talk,
  trace: Trace,
  line: Line,
  counted: { up: number; down: number },
): Promise<Answered> {
  const { url } = plan;
  const site: Authority = {
    host: bareHost(url.hostname),
    port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)),
  };
  const target = formatAuthority(site);
  const asking = `CONNECT ${target} HTTP/1.1`;
  const { ear, answer, fields, why } = await sayKnown(asking, hostAndAgent(target), 'connect', plan, line, trace);
  if (answer.status < 200 || answer.status > 299) {
    if (why === undefined) await hearRefusal(ear, answer, 'CONNECT', trace);
    return { status: answer.status, fields, by: 'the proxy', why };
  }
  await ear.leave();
  trace.add({ kind: 'tunnel-open' });

  const hello = helloWatcher(trace);
  const tunnel = new Tap(line.socket, (direction, chunk) => {
    counted[direction] += chunk.length;
    if (direction === 'up' && url.protocol === 'https:') hello(chunk);
  });
  tunnel.on('error', () => {});
  const inside = url.protocol === 'https:' ? await startTls(plan, site, tunnel, trace) : tunnel;
  const through = url.protocol === 'https:' ? 'tls' : 'clear-tunnel';
  const fieldsInside = [...hostAndAgent(url.host), ...ONE_SHOT];
  return await ask(plan.method, `${url.pathname}${url.search}`, fieldsInside, inside, through, trace);
}

/** The whole URL to the proxy. Only one that has nobody to ask for is told that it is the last request. */
async function absolutely(plan: Talk, trace: Trace, line: Line): Promise<Answered> {
  const { url, method } = plan;
  const fields = [...hostAndAgent(url.host), ...(plan.introduce === undefined ? ONE_SHOT : ANY)];
  const start = `${method} ${url.origin}${url.pathname}${url.search} HTTP/1.1`;
  const { ear, answer, fields: answered, why } = await sayKnown(start, fields, 'request', plan, line, trace);
  if (why === undefined) await hearAnswer(ear, answer, method, 'hop', trace);
  return { status: answer.status, fields: answered, by: 'the proxy', why };
}

async function hearAnswer(
  ear: Ear,
  answer: ResponseHead,
  method: string,
  through: HeadSeen['through'],
  trace: Trace,
): Promise<void> {
  if (through === 'hop' && answer.status >= 400) {
    await hearRefusal(ear, answer, method, trace);
    return;
  }
  const { bytes, ended } = await ear.body(responseFraming(answer.headers, answer.status, method, answer.version));
  trace.add({ kind: 'body', bytes, ended });
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
  await hearAnswer(ear, answer, method, through, trace);
  return { status: answer.status, fields: answered, by: 'the site', why: undefined };
}

type Ended = Body['ended'];

/** A proxy that says no often says why in words. */
async function hearRefusal(ear: Ear, answer: ResponseHead, method: string, trace: Trace): Promise<Ended> {
  // The method is not CONNECT for the framing: a refused CONNECT is answered like anything else (RFC 9110 §9.3.6).
  const framing = responseFraming(answer.headers, answer.status, method, answer.version);
  const { bytes, ended, start } = await ear.body(framing);
  const isText = /^text\/plain\b/i.test(firstOf(answer.headers, 'content-type') ?? '');
  const says = isText ? start.replace(/\s+/g, ' ').trim() : '';
  trace.add({ kind: 'body', bytes, ended, ...(says === '' ? {} : { says }) });
  return ended;
}

function say(
  start: string,
  fields: readonly string[],
  stream: Duplex,
  head: Pick<HeadSeen, 'role' | 'through'>,
  trace: Trace,
): void {
  const text = [start, ...fields].join('\r\n');
  trace.add({ kind: 'head', mark: '>', ...head, lines: maskedLines(text), ...tokenPart(text) });
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
    trace.add({ kind: 'head', mark: '<', role: final ? role : 'interim', through, lines, status, ...tokenPart(text) });
    if (final) return { answer, fields: lines.slice(1) };
  }
}

const hostAndAgent = (host: string): string[] => [`Host: ${host}`, 'User-Agent: viaduct-explain'];
/** One request on one connection: then its end is the end of the story. */
const ANY: readonly string[] = ['Accept: */*'];
const ONE_SHOT: readonly string[] = [...ANY, 'Connection: close'];

function stopped(error: unknown, who: string): Stopped {
  if (error instanceof Stopped) return error;
  const what = error instanceof ProxyError ? error.detail : socketMeaning(error);
  return new Stopped({ who, what }, { cause: error });
}
