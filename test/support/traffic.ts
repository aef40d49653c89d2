import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectTo } from './requests.ts';

/** One direction of one connection, counted where it arrives. */
export class Arrivals {
  total = 0;
  /** When, on the process's clock, and how many bytes had arrived by then. */
  readonly #history: (readonly [atMs: number, total: number])[] = [];

  add(bytes: number): void {
    this.total += bytes;
    this.#history.push([performance.now(), this.total]);
  }

  /** Bytes that had arrived by then. */
  by(atMs: number): number {
    return this.#history.findLast(([when]) => when <= atMs)?.[1] ?? 0;
  }
}

export const arrived = (all: readonly Arrivals[], fromMs: number, toMs: number): number =>
  all.reduce((sum, one) => sum + one.by(toMs) - one.by(fromMs), 0);

/** A process that did not run for so long cannot know when bytes arrived. */
const STALL_MS = 50;
const WINDOWS_MAX = 4;

/** What was measured: as parts of what a rate promises, one for each window, and whether it could be measured. */
export interface RateMeasurement {
  readonly parts: readonly number[];
  readonly during: 'calm' | 'stalls';
}
const isExact = (part: number): boolean => Math.abs(part - 1) <= 0.02;

/**
 * Bytes that arrive in a window from now on, as a part of what `rate` promises. What a stall of this process has held up
 * comes in the window after it, so another one is opened while it is not exact, until they are as long as the 10 s over
 * which a rate is promised.
 */
export async function partOfRate(all: readonly Arrivals[], rate: number, windowMs: number): Promise<RateMeasurement> {
  using stalls = stallWatch();
  const parts: number[] = [];
  let during: RateMeasurement['during'] = 'stalls';
  while (parts.length < WINDOWS_MAX) {
    const fromMs = performance.now();
    stalls.reset();
    await sleep(windowMs);
    const toMs = performance.now();
    const part = arrived(all, fromMs, toMs) / ((rate * (toMs - fromMs)) / 1000);
    parts.push(part);
    if (stalls.longestMs() < STALL_MS) during = 'calm';
    if (isExact(part)) break;
  }
  return { parts, during };
}

/** Within 2 %, unless the machine was too busy in every window: what cannot be measured is not judged. */
export function assertExact({ parts, during }: RateMeasurement, what: string): void {
  if (during === 'calm') assert.ok(parts.some(isExact), `${what}: ${parts} of the rate`);
}

/**
 * What `measure` takes, which must be below `msMax`: once more, up to four times, while it is not and this process was kept
 * from running meanwhile. On a machine that is calm the first time counts.
 */
export async function msWhenCalm(msMax: number, measure: (attempt: number) => Promise<number>): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    using stalls = stallWatch();
    const ms = await measure(attempt);
    if (ms < msMax || attempt === WINDOWS_MAX || stalls.longestMs() < STALL_MS) return ms;
  }
}

function stallWatch(): Disposable & { reset(): void; longestMs(): number } {
  let lastMs = performance.now();
  let longest = 0;
  const look = () => {
    const now = performance.now();
    longest = Math.max(longest, now - lastMs);
    lastMs = now;
  };
  const timer = setInterval(look, 5);
  return {
    reset() {
      look();
      longest = 0;
    },
    longestMs() {
      look();
      return longest;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/** What a tunnel's client may ask of the origin, in its first line. */
export type Wish = `flood ${number}` | 'drain' | 'echo';

/**
 * An origin for bulk traffic. In a tunnel the first line is the wish: `flood N` sends for ever in writes of N
 * bytes, `drain` swallows, `echo` sends back. `GET` is answered without an end, `PUT` swallows its body.
 */
export class TrafficOrigin implements AsyncDisposable {
  readonly port: number;
  /** What clients have sent behind the first line or head, by connection. */
  readonly received: Arrivals[] = [];
  readonly #server: ReturnType<typeof createServer>;
  readonly #sockets = new Set<Socket>();

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => this.#serve(socket));
  }

  static async listen(host: string = '127.0.0.1'): Promise<TrafficOrigin> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }).listen(0, host);
    await once(server, 'listening');
    return new TrafficOrigin(server);
  }

  get target(): string {
    return `127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    const got = new Arrivals();
    this.received.push(got);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
    let head = '';
    let begun = false;
    socket.on('data', (bytes) => {
      if (begun) return got.add(bytes.length);
      head += bytes.toString('latin1');
      const end = /^(GET|PUT)/.test(head) ? head.indexOf('\r\n\r\n') + 4 : head.indexOf('\n') + 1;
      if (end < 4) return;
      begun = true;
      const rest = Buffer.from(head.slice(end), 'latin1');
      if (rest.length > 0) got.add(rest.length);
      answer(socket, head, rest);
    });
    socket.on('end', () => socket.end());
  }
}

function answer(socket: Socket, head: string, rest: Buffer): void {
  const [wish = '', size = ''] = head.split(/\s/, 2);
  if (wish === 'flood') flood(socket, Number(size));
  else if (wish === 'echo') {
    socket.write(rest);
    socket.on('data', (bytes) => socket.write(bytes));
  } else if (wish === 'GET' && head.includes('/chunked')) {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    flood(socket, `1000\r\n${'x'.repeat(4096)}\r\n`);
  } else if (wish === 'GET') {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n');
    flood(socket, 65_536);
  }
}

/** Writes for ever, as fast as the socket takes it. */
export function flood(socket: Socket, each: number | string): void {
  const bytes = Buffer.from(typeof each === 'string' ? each : 'x'.repeat(each));
  // Many small writes in one turn, or writing would be what is measured.
  const writesMax = Math.max(1, Math.floor(65_536 / bytes.length));
  const write = () => {
    for (let count = 0; count < writesMax; count++) if (socket.destroyed || !socket.write(bytes)) return;
    setImmediate(write);
  };
  socket.on('drain', write);
  write();
}

/** A connection to a proxy, with what has come back behind the answer's head. */
export interface Traffic extends Disposable {
  readonly socket: Socket;
  readonly down: Arrivals;
  /** The answer's head. */
  readonly head: string;
}

/** Sends a head and waits for the answer's. */
export async function converse(port: number, request: string): Promise<Traffic> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => socket.destroy());
  socket.write(request);
  const down = new Arrivals();
  const head = await new Promise<string>((resolve, reject) => {
    let seen = Buffer.alloc(0);
    const take = (bytes: Buffer) => {
      seen = Buffer.concat([seen, bytes]);
      const end = seen.indexOf('\r\n\r\n');
      if (end < 0) return;
      socket.off('data', take);
      // Bytes behind the head are the first arrival; a test that reads the stream itself gets them as well.
      socket.pause();
      if (seen.length > end + 4) socket.unshift(seen.subarray(end + 4));
      resolve(seen.toString('latin1', 0, end));
    };
    socket.on('data', take);
    socket.on('close', () => reject(new Error(`the proxy closed: ${seen.toString('latin1')}`)));
  });
  return { socket, down, head, [Symbol.dispose]: () => void socket.destroy() };
}

/** Counts, and forgets, what comes back. */
export function counting(traffic: Traffic): Traffic {
  traffic.socket.on('data', (bytes) => traffic.down.add(bytes.length));
  traffic.socket.resume();
  return traffic;
}

const basic = (user: string | undefined): string[] =>
  user === undefined ? [] : [`Proxy-Authorization: Basic ${Buffer.from(user).toString('base64')}`];

/** An open tunnel to an origin that has read `wish`; `user` is `name:password`. Rejects on any other response. */
export async function tunnel(
  port: number,
  origin: Pick<TrafficOrigin, 'target'>,
  wish: Wish,
  user?: string,
): Promise<Traffic> {
  const { target } = origin;
  const traffic = await converse(port, connectTo(target, ...basic(user)));
  if (!/^HTTP\/1\.1 200 /.test(traffic.head)) throw new Error(traffic.head);
  traffic.socket.write(`${wish}\n`);
  return traffic;
}

/** A plain GET whose answer does not end. */
export const download = (port: number, { target }: TrafficOrigin, path: '/' | '/chunked' = '/'): Promise<Traffic> =>
  converse(port, `GET http://${target}${path} HTTP/1.1\r\nHost: ${target}\r\n\r\n`).then(counting);

/** A plain PUT whose body does not end. */
export async function upload(port: number, { target }: TrafficOrigin): Promise<Disposable> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  socket.write(`PUT http://${target}/ HTTP/1.1\r\nHost: ${target}\r\nContent-Length: 1000000000000\r\n\r\n`);
  flood(socket, 65_536);
  return { [Symbol.dispose]: () => void socket.destroy() };
}

/** Round trips of `bytes` through an open echo tunnel, one after the other, in milliseconds. */
export async function roundTrips({ socket }: Traffic, count: number, bytes = 64): Promise<number[]> {
  const times: number[] = [];
  socket.resume();
  for (let at = 0; at < count; at++) {
    const startedMs = performance.now();
    socket.write(Buffer.alloc(bytes, 'p'));
    for (let missing = bytes; missing > 0; ) {
      const [chunk] = await once(socket, 'data');
      missing -= (chunk as Buffer).length;
    }
    times.push(performance.now() - startedMs);
  }
  return times;
}

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

export const portOf = (url: string): number => Number(new URL(url).port);
