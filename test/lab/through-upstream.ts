import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { hashOf, patternOf, residentBytes } from '../support/bulk.ts';
import { type Running, viaduct } from '../support/cli.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** What a client received. */
export interface TunnelResponse {
  readonly status: number;
  readonly text: string;
}

/** The origin answers 407 to it, as only a proxy may. */
export const HOSTILE_PATH = '/407';

/** Behind every upstream proxy; records the requests that reach it. One that was meant for the upstream proxy alone is a fault. */
export class LabOrigin implements AsyncDisposable {
  readonly authority: string;
  readonly reached: string[] = [];
  /** SHA-1 of every body, in order. */
  readonly bodies: string[] = [];
  readonly #server;

  private constructor() {
    this.authority = '';
    this.#server = createServer((incoming, response) => {
      this.reached.push(incoming.method ?? '');
      if (incoming.url === HOSTILE_PATH) {
        return response.writeHead(407, { 'Proxy-Authenticate': ['NTLM', 'Basic realm="corp"'] }).end();
      }
      if (incoming.method === 'GET') return response.end('reached');
      void hashOf(incoming).then(({ hash }) => {
        this.bodies.push(hash);
        response.end('reached');
      });
    });
  }

  static async listen(): Promise<LabOrigin> {
    const origin = new LabOrigin();
    await once(origin.#server.listen(0, '127.0.0.1'), 'listening');
    const address = origin.#server.address();
    if (address === null || typeof address === 'string') throw new Error('an origin without a port');
    return Object.assign(origin, { authority: `127.0.0.1:${address.port}` });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

/** How often memory is measured while a body passes. */
const SAMPLE_MS = 10;

/** A Viaduct in a process of its own, whose only route is through one upstream proxy. */
export class ThroughUpstream implements Disposable {
  readonly #running: Running;
  readonly #port: number;
  readonly #authority: string;

  private constructor(running: Running, port: number, authority: string) {
    this.#running = running;
    this.#port = port;
    this.#authority = authority;
  }

  /** `settings`: of the configuration. */
  static async start(
    { authority }: LabOrigin,
    upstream: string,
    settings: object,
    environment: Readonly<Record<string, string>>,
  ): Promise<ThroughUpstream> {
    using folder = temporaryFolder();
    const fixed = { listen: '127.0.0.1:0', log: { format: 'off' }, routes: { proxy: upstream } };
    const file = folder.write('viaduct.yaml', { ...fixed, ...settings });
    // Without state of earlier proxies: the state folder keeps which passwords were rejected.
    const running = viaduct(['-c', file], {
      XDG_STATE_HOME: `${tmpdir()}/viaduct-lab-${randomUUID()}`,
      ...environment,
    });
    return new ThroughUpstream(running, await running.port(), authority);
  }

  async get(path = '/'): Promise<TunnelResponse> {
    const sending = request(this.#to('GET', path));
    const answer: Promise<IncomingMessage[]> = once(sending, 'response');
    sending.end();
    return await readResponse(await answer);
  }

  /** A tunnel, and a request through it. */
  async tunnel(): Promise<TunnelResponse> {
    using client = await rawClient(this.#port);
    client.send(connectTo(this.#authority));
    await client.until('\r\n\r\n', WAIT_MS);
    const status = Number(client.text.split(' ')[1]);
    if (status === 200) {
      client.send(`GET / HTTP/1.1\r\nHost: ${this.#authority}\r\nConnection: close\r\n\r\n`);
      await client.until('reached', WAIT_MS);
    }
    await client.ended();
    return { status, text: client.text };
  }

  /** Sends `bytes` of the pattern. */
  async put(bytes: number): Promise<TunnelResponse> {
    const sending = request({ ...this.#to('PUT'), headers: { Host: this.#authority, 'Content-Length': bytes } });
    sending.on('error', () => undefined);
    const answer: Promise<IncomingMessage[]> = once(sending, 'response');
    const body = patternOf(bytes);
    body.pipe(sending);
    try {
      return await readResponse(await answer);
    } finally {
      body.destroy();
      sending.destroy();
    }
  }

  /** How much more memory the proxy had at most while this went on than before. */
  async growth(doing: () => Promise<unknown>): Promise<number> {
    const idle = this.#residentBytes;
    let most = idle;
    let isOver = false;
    const watching = (async () => {
      while (!isOver) {
        most = Math.max(most, this.#residentBytes);
        await wait(SAMPLE_MS);
      }
    })();
    await doing().finally(() => {
      isOver = true;
    });
    await watching;
    return most - idle;
  }

  /** Ends it; gives all that it has printed. */
  async end(): Promise<string> {
    this.#running.child.kill('SIGTERM');
    const { out, err } = await this.#running.ended;
    return out + err;
  }

  [Symbol.dispose](): void {
    this.#running[Symbol.dispose]();
  }

  get #residentBytes(): number {
    return residentBytes(this.#running.child.pid ?? assert.fail('no process'));
  }

  #to(method: string, path = '/') {
    const headers = { Host: this.#authority };
    return {
      host: '127.0.0.1',
      port: this.#port,
      method,
      path: `http://${this.#authority}${path}`,
      headers,
      agent: false,
    };
  }
}

/** Hundreds of requests at a time take seconds on a loaded machine. */
const WAIT_MS = 30_000;

async function readResponse([response]: readonly IncomingMessage[]): Promise<TunnelResponse> {
  if (response === undefined) throw new Error('no answer');
  let text = '';
  for await (const piece of response.setEncoding('utf8')) text += piece;
  return { status: response.statusCode ?? 0, text };
}
