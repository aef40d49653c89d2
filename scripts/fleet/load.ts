import { connect, createServer, type Server, type Socket } from 'node:net';

/** A client that has no answer after this long has none. */
const ANSWER_MS = 20_000;
const TICK_MS = 5;
/** How often a long tunnel sends something. */
const BEAT_MS = 200;
const BEAT = Buffer.alloc(64, 'b');

export interface Failure {
  readonly clientPort: number;
  /** When it connected, by the wall clock. */
  readonly startedMs: number;
  readonly why: string;
}

export interface LoadOptions {
  /** Where the clients connect: the balancer. */
  readonly proxyPort: number;
  /** An origin that answers `GET /` with "origin-ok". */
  readonly originPort: number;
  readonly perSecond: number;
}

/** So many clients a second, each with one CONNECT, one request through it and the whole response. */
export class SteadyLoad {
  readonly #options: LoadOptions;
  readonly #startedMs = performance.now();
  readonly #timer: NodeJS.Timeout;
  readonly #open = new Set<Promise<void>>();
  #started = 0;
  served = 0;
  readonly failures: Failure[] = [];

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Starts no more, and resolves when those that are open have ended. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
  }

  #tick(): void {
    const due = ((performance.now() - this.#startedMs) / 1000) * this.#options.perSecond;
    for (; this.#started < due; this.#started++) {
      const request = this.#request().finally(() => this.#open.delete(request));
      this.#open.add(request);
    }
  }

  async #request(): Promise<void> {
    const { proxyPort, originPort } = this.#options;
    const startedMs = Date.now();
    const { clientPort, why } = await askThrough(proxyPort, originPort);
    if (why === undefined) this.served++;
    else this.failures.push({ clientPort, startedMs, why });
  }
}

/** One request through one tunnel; `why`: what is wrong with the response. */
function askThrough(proxyPort: number, originPort: number): Promise<{ clientPort: number; why?: string }> {
  return new Promise((resolve) => {
    const socket = connect(proxyPort, '127.0.0.1');
    let seen = '';
    let clientPort = 0;
    let error = '';
    let isThrough = false;
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('no answer in time')));
    socket.on('connect', () => {
      clientPort = socket.localPort ?? 0;
      socket.write(`CONNECT 127.0.0.1:${originPort} HTTP/1.1\r\nHost: 127.0.0.1:${originPort}\r\n\r\n`);
    });
    socket.setEncoding('latin1').on('data', (text: string) => {
      seen += text;
      if (isThrough || !/^HTTP\/1\.1 200 [^\r]*\r\n(?:[^\r]+\r\n)*\r\n$/.test(seen)) return;
      isThrough = true;
      socket.write('GET / HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n');
    });
    socket.on('error', (cause) => {
      error = cause.message;
    });
    socket.on('close', () => {
      if (seen.endsWith('origin-ok\n')) resolve({ clientPort });
      else resolve({ clientPort, why: `${error || 'closed'} after ${JSON.stringify(seen.slice(0, 200))}` });
    });
  });
}

/** A tunnel that stays open and sends a few bytes now and then. */
export interface LongTunnel {
  readonly clientPort: number;
  /** When it connected, by the wall clock. */
  readonly startedMs: number;
  /** On the clock of `performance.now()`; `undefined`: it is open. */
  readonly endedMs: number | undefined;
}

/** Tunnels to a server that sends back what it receives. One that ends is opened again, so that there are always as many. */
export class LongTunnels implements AsyncDisposable {
  readonly #proxyPort: number;
  readonly #echo: Server;
  readonly #sockets = new Set<Socket>();
  readonly #all: LongTunnel[] = [];
  readonly refused: string[] = [];
  #isOver = false;

  private constructor(proxyPort: number, echo: Server) {
    this.#proxyPort = proxyPort;
    this.#echo = echo;
  }

  /** `echoPort`: where the server listens, which the policy of the fleet must allow. */
  static async open(proxyPort: number, echoPort: number, count: number): Promise<LongTunnels> {
    const echo = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
    await new Promise<void>((resolve) => echo.listen(echoPort, '127.0.0.1', resolve));
    const tunnels = new LongTunnels(proxyPort, echo);
    await Promise.all(Array.from({ length: count }, () => tunnels.#openOne(echoPort)));
    return tunnels;
  }

  get all(): readonly LongTunnel[] {
    return this.#all;
  }

  #openOne(echoPort: number): Promise<void> {
    return new Promise((resolve) => {
      const socket = connect(this.#proxyPort, '127.0.0.1');
      this.#sockets.add(socket);
      const tunnel = { clientPort: 0, startedMs: Date.now(), endedMs: undefined as number | undefined };
      let beat: NodeJS.Timeout | undefined;
      socket.on('connect', () => {
        tunnel.clientPort = socket.localPort ?? 0;
        socket.write(`CONNECT 127.0.0.1:${echoPort} HTTP/1.1\r\nHost: 127.0.0.1:${echoPort}\r\n\r\n`);
      });
      socket.on('data', (chunk) => {
        if (beat !== undefined) return;
        const head = chunk.toString('latin1');
        if (!head.startsWith('HTTP/1.1 200 ')) return void socket.destroy(new Error(head));
        this.#all.push(tunnel);
        beat = setInterval(() => socket.write(BEAT), BEAT_MS);
        resolve();
      });
      socket.on('error', (cause) => {
        if (beat === undefined) this.refused.push(cause.message);
      });
      socket.on('close', () => {
        clearInterval(beat);
        this.#sockets.delete(socket);
        tunnel.endedMs = performance.now();
        resolve();
        if (!this.#isOver && beat !== undefined) void this.#openOne(echoPort);
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#echo.close(resolve));
  }
}
