import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isConnected, type Ports } from './kernel.ts';

/** How a peer's connection ended, as this side saw it. */
export type Ending = 'open' | 'fin' | 'reset';

/** Fails a test that waits for what never comes; long enough for a loaded machine. */
const WAIT_MS = 30_000;

/** One end of a TCP connection in a test's hands: sends exact bytes, keeps all that arrives, and how it ended. */
export class RawPeer implements Disposable {
  readonly socket: Socket;
  ending: Ending = 'open';
  #chunks: Buffer[] = [];
  #bytes = 0;
  #isEndAwaited = false;
  readonly #ports: Ports;
  readonly #waiting = new Set<() => void>();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    // Once both sides have ended the socket has no peer address any more.
    const { localPort, remotePort } = socket;
    socket.on('data', (chunk) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      this.#look();
    });
    this.#ports = { localPort, remotePort };
    // `ss` takes milliseconds: only for tests that call `ended`, while the kernel still has the connection.
    socket.on('end', () => this.#ended(this.#isEndAwaited || socket.writableEnded ? endOf(this.#ports) : 'fin'));
    socket.on('error', () => this.#ended('reset'));
    socket.on('close', () => this.#ended('fin'));
  }

  get received(): Buffer {
    const [first = Buffer.alloc(0), ...more] = this.#chunks;
    if (more.length === 0) return first;
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }

  get text(): string {
    return this.received.toString('latin1');
  }

  get bytesReceived(): number {
    return this.#bytes;
  }

  /** Drops the first bytes that were received. */
  forget(bytes: number): void {
    this.#chunks = [this.received.subarray(bytes)];
    this.#bytes -= bytes;
  }

  send(bytes: string | Uint8Array): this {
    if (typeof bytes === 'string') this.socket.write(bytes, 'latin1');
    else this.socket.write(bytes);
    return this;
  }

  /** Sends the bytes in two packets, cut at `at`. */
  async sendCut(bytes: Buffer, at: number): Promise<void> {
    if (at > 0) this.send(bytes.subarray(0, at));
    await nextTurn();
    await nextTurn();
    if (at < bytes.length) this.send(bytes.subarray(at));
  }

  end(): this {
    this.socket.end();
    return this;
  }

  /** Ends with a TCP RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Resolves once `isTrue` holds; it is checked whenever bytes or an end arrive. Rejects with what did arrive. */
  when(isTrue: (peer: this) => boolean, what = 'what it waits for', ms: number = WAIT_MS): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (!isTrue(this)) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        const seen = this.text.length > 400 ? `${this.text.slice(0, 400)}…` : this.text;
        reject(new Error(`no ${what} after ${ms} ms (${this.ending}): ${JSON.stringify(seen)}`));
      }, ms);
      this.#waiting.add(look);
      look();
    });
  }

  /** Everything received, once it holds `text`. */
  async until(text: string | RegExp, ms?: number): Promise<string> {
    const holds = typeof text === 'string' ? () => this.text.includes(text) : () => text.test(this.text);
    await this.when(holds, String(text), ms);
    return this.text;
  }

  /** How the other side ended, once it has. */
  async ended(ms?: number): Promise<Ending> {
    this.#isEndAwaited = true;
    if (this.ending === 'fin' && !this.socket.writableEnded && !this.socket.destroyed) this.ending = endOf(this.#ports);
    await this.when(() => this.ending !== 'open', 'end', ms);
    return this.ending;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #ended(how: Ending): void {
    // A reset behind an orderly end is still a reset.
    if (this.ending === 'open' || how === 'reset') this.ending = how;
    this.#look();
  }

  #look(): void {
    for (const look of [...this.#waiting]) look();
  }
}

/** Connects to a proxy or an origin; either half may be closed alone. `from` is an address of this machine. */
export async function rawClient(port: number, host: string = '127.0.0.1', from?: string): Promise<RawPeer> {
  const socket = connect({ port, host, allowHalfOpen: true, localAddress: from });
  await once(socket, 'connect');
  return new RawPeer(socket);
}

/** The libuv of Node 22 may report a reset behind data as an end; the kernel's table shows which it was. */
const endOf = (ports: Ports): Ending =>
  process.version.startsWith('v22.') && process.platform === 'linux' && !isConnected(ports) ? 'reset' : 'fin';
