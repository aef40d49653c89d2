import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { hashOf, patternOf, residentBytes } from '../support/bulk.ts';
import { type Running, viaduct } from '../support/cli.ts';
import { rawClient } from '../support/raw-client.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** What a client was told. */
export interface Told {
  readonly status: number;
  readonly text: string;
}

/** Behind every parent: remembers what has reached it. A question about us that comes so far is a fault. */
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

/** Memory is looked at so often while a body passes. */
const LOOK_MS = 10;

/** A Viaduct in a process of its own, whose only way leads through one parent. */
export class ThroughParent implements Disposable {
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
    parent: string,
    settings: object,
    environment: Readonly<Record<string, string>>,
  ): Promise<ThroughParent> {
    using folder = temporaryFolder();
    const file = `${folder.path}/viaduct.yaml`;
    const fixed = { listen: '127.0.0.1:0', log: { format: 'off' }, routes: { proxy: parent } };
    writeFileSync(file, JSON.stringify({ ...fixed, ...settings }));
    const running = viaduct(['-c', file], environment);
    const said = await running.says('listening on ');
    return new ThroughParent(running, Number(/listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(said)?.[1]), authority);
  }

  async get(): Promise<Told> {
    const sending = request(this.#to('GET'));
    const answer: Promise<IncomingMessage[]> = once(sending, 'response');
    sending.end();
    return await told(await answer);
  }

  /** A tunnel, and a request through it. */
  async tunnel(): Promise<Told> {
    using client = await rawClient(this.#port);
    client.send(`CONNECT ${this.#authority} HTTP/1.1\r\nHost: ${this.#authority}\r\n\r\n`);
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
  async put(bytes: number): Promise<Told> {
    const sending = request({ ...this.#to('PUT'), headers: { Host: this.#authority, 'Content-Length': bytes } });
    sending.on('error', () => undefined);
    const answer: Promise<IncomingMessage[]> = once(sending, 'response');
    const body = patternOf(bytes);
    body.pipe(sending);
    try {
      return await told(await answer);
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
        await wait(LOOK_MS);
      }
    })();
    await doing().finally(() => {
      isOver = true;
    });
    await watching;
    return most - idle;
  }

  /** Ends it, and gives all that it has said. */
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

  #to(method: string) {
    const headers = { Host: this.#authority };
    return { host: '127.0.0.1', port: this.#port, method, path: `http://${this.#authority}/`, headers, agent: false };
  }
}

/** Hundreds at a time take a while on a busy machine. */
const WAIT_MS = 30_000;

async function told([response]: readonly IncomingMessage[]): Promise<Told> {
  if (response === undefined) throw new Error('no answer');
  let text = '';
  for await (const piece of response.setEncoding('utf8')) text += piece;
  return { status: response.statusCode ?? 0, text };
}
