import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Environment } from '../environment.ts';
import { type BusCall, type BusMessage, type BusReader, encodeCall, takeMessage } from './dbus-message.ts';

/** The bus did not answer, or answered with an error; `errorName` is that of D-Bus. */
export class BusError extends Error {
  override readonly name = 'BusError';
  readonly errorName: string | undefined;
  constructor(message: string, more: ErrorOptions & { errorName?: string } = {}) {
    super(message, more);
    this.errorName = more.errorName;
  }
}

/**
 * The socket of the session bus, where one is already there: `undefined` for `autolaunch:` and `unixexec:`, which start
 * one, and for other addresses than Unix sockets. Only the first address counts, since that is what a client library tries
 * first, and it must not come to an address that starts something.
 */
export function sessionBusPath(environment: Environment): string | undefined {
  const { DBUS_SESSION_BUS_ADDRESS: address, XDG_RUNTIME_DIR: runtime } = environment;
  if (!address) return runtime ? join(runtime, 'bus') : undefined;
  const [, keys] = /^unix:([^;]*)/.exec(address) ?? [];
  const pairs = new Map((keys ?? '').split(',').map((pair) => [pair.replace(/=.*/s, ''), unescaped(pair)]));
  const path = pairs.get('path');
  const abstract = pairs.get('abstract');
  if (path !== undefined) return path;
  if (abstract !== undefined) return `\0${abstract}`;
  return pairs.get('runtime') === 'yes' && runtime ? join(runtime, 'bus') : undefined;
}

/** Of `key=value`, the value; `%20` and the like stand for bytes. */
const unescaped = (pair: string): string =>
  pair
    .replace(/^[^=]*=/, '')
    .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

const BUS = 'org.freedesktop.DBus';
const HELLO: BusCall = { destination: BUS, path: '/org/freedesktop/DBus', interface: BUS, member: 'Hello', args: [] };

/** The server's line `OK <guid>` comes first; more than this before its end is not D-Bus. */
const GREETING_BYTES_MAX = 1024;

/**
 * A connection to the session bus for a few calls. Nothing that is sent over it starts a program.
 * Disposing closes it.
 */
export class SessionBus implements Disposable {
  readonly #socket: Socket;
  readonly #signal: AbortSignal;
  readonly #waiting = new Map<number, (message: BusMessage | BusError) => void>();
  #seen: Buffer = Buffer.alloc(0);
  #serial = 0;
  #failure: BusError | undefined;

  private constructor(socket: Socket, signal: AbortSignal) {
    this.#socket = socket;
    this.#signal = signal;
  }

  /** Connects and authenticates. Throws BusError; an abort of `signal` ends everything that waits. */
  static async open(path: string, signal: AbortSignal): Promise<SessionBus> {
    const bus = new SessionBus(connect({ path }), signal);
    try {
      await bus.#authenticate();
      await bus.call(HELLO);
      return bus;
    } catch (error) {
      bus[Symbol.dispose]();
      throw error;
    }
  }

  /** Throws BusError. */
  async call(call: BusCall): Promise<BusReader> {
    const serial = ++this.#serial;
    const message = await new Promise<BusMessage | BusError>((resolve) => {
      if (this.#failure !== undefined) return resolve(this.#failure);
      this.#waiting.set(serial, resolve);
      this.#socket.write(encodeCall(call, serial));
    });
    if (message instanceof BusError) throw message;
    if (message.kind === 'reply') return message.body;
    throw new BusError(`${call.member} failed`, { errorName: message.kind === 'error' ? message.name : 'unknown' });
  }

  [Symbol.dispose](): void {
    this.#fail(new BusError('the connection was closed'));
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#socket.off('data', this.#onMessages).off('error', this.#onError).off('close', this.#onClose);
    this.#socket.on('error', () => {}).destroy();
  }

  /** SASL: EXTERNAL, the user that the kernel vouches for (D-Bus Specification, "Authentication Protocol"). */
  async #authenticate(): Promise<void> {
    this.#socket.on('error', this.#onError).on('close', this.#onClose);
    this.#signal.addEventListener('abort', this.#onAbort);
    if (this.#signal.aborted) this.#onAbort();
    const user = Buffer.from(String(process.getuid?.() ?? '')).toString('hex');
    this.#socket.write(`\0AUTH EXTERNAL ${user}\r\n`);
    const [greeting, rest] = await this.#line();
    if (!greeting.startsWith('OK ')) throw new BusError('the bus does not know this user');
    this.#socket.write('BEGIN\r\n');
    this.#socket.on('data', this.#onMessages);
    if (rest.length > 0) this.#onMessages(rest);
  }

  #line(): Promise<readonly [line: string, rest: Buffer]> {
    return new Promise((resolve, reject) => {
      let seen: Buffer = Buffer.alloc(0);
      const finish = (settle: () => void) => {
        this.#socket.off('data', onData);
        this.#waiting.delete(0);
        settle();
      };
      const onData = (chunk: Buffer) => {
        seen = Buffer.concat([seen, chunk]);
        const end = seen.indexOf('\r\n');
        if (end >= 0) finish(() => resolve([seen.toString('latin1', 0, end), seen.subarray(end + 2)]));
        else if (seen.length > GREETING_BYTES_MAX) finish(() => reject(new BusError('this is not D-Bus')));
      };
      this.#waiting.set(0, (ended) => finish(() => reject(ended)));
      if (this.#failure !== undefined) return finish(() => reject(this.#failure));
      this.#socket.on('data', onData);
    });
  }

  readonly #onMessages = (chunk: Buffer): void => {
    this.#seen = Buffer.concat([this.#seen, chunk]);
    try {
      for (let taken = takeMessage(this.#seen); taken !== undefined; taken = takeMessage(this.#seen)) {
        this.#seen = taken.rest;
        const { message } = taken;
        if (message.kind === 'other') continue;
        this.#waiting.get(message.to)?.(message);
        this.#waiting.delete(message.to);
      }
    } catch (cause) {
      this.#fail(new BusError('the bus sent bytes that are not D-Bus', { cause }));
    }
  };
  readonly #onError = (cause: Error): void => this.#fail(new BusError('the bus cannot be reached', { cause }));
  readonly #onClose = (): void => this.#fail(new BusError('the bus closed the connection'));
  readonly #onAbort = (): void => this.#fail(new BusError('the bus did not answer in time'));

  #fail(failure: BusError): void {
    this.#failure ??= failure;
    for (const end of [...this.#waiting.values()]) end(failure);
    this.#waiting.clear();
  }
}
