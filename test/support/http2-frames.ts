import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Frame types of RFC 9113 §6. */
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;
/** Error codes of RFC 9113 §7. */
export const ERROR = {
  none: 0,
  protocol: 1,
  internal: 2,
  refused: 7,
  cancel: 8,
  connect: 10,
  calm: 11,
} as const;

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export function uint32(number: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number);
  return bytes;
}

export type Fields = readonly (readonly [name: string, value: string])[];

/** A field block of literals that are not indexed and not compressed (RFC 7541 §6.2.2). */
export const fieldBlock = (fields: Fields): Buffer =>
  Buffer.concat(fields.map(([name, value]) => Buffer.concat([Buffer.from([0]), literal(name), literal(value)])));

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let left = bytes.length - 127;
  for (; left >= 128; left = Math.floor(left / 128)) length.push((left % 128) + 128);
  length.push(left);
  return Buffer.concat([Buffer.from(length), bytes]);
}

export const connectFields = (authority: string): Fields => [
  [':method', 'CONNECT'],
  [':authority', authority],
];

export const getFields = (authority: string, path = '/'): Fields => [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':authority', authority],
  [':path', path],
];

const WAIT_MS = 30_000;

/** One end of an HTTP/2 connection in a test's hands: sends exact frames, keeps all that arrive. */
export class RawHttp2 implements Disposable {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  isClosed = false;
  #rest: Buffer = Buffer.alloc(0);
  readonly #waiting = new Set<() => void>();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', () => undefined);
    const closed = () => {
      this.isClosed = true;
      this.#look();
    };
    // Half of a connection is no use in HTTP/2.
    socket.on('end', closed).on('close', closed);
  }

  /** Connects, and sends the preface and empty settings. */
  static async open(port: number, settings: Uint8Array = Buffer.alloc(0)): Promise<RawHttp2> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    const client = new RawHttp2(socket);
    client.send(PREFACE, frame(FRAME.settings, 0, 0, settings));
    await client.when(() => client.frames.some(({ type }) => type === FRAME.settings), 'SETTINGS');
    client.send(frame(FRAME.settings, ACK, 0));
    return client;
  }

  send(...bytes: readonly Uint8Array[]): this {
    this.socket.write(Buffer.concat(bytes));
    return this;
  }

  /** Frames of a stream, but for those that only open windows. */
  of(stream: number): readonly Frame[] {
    return this.frames.filter((one) => one.stream === stream && one.type !== FRAME.windowUpdate);
  }

  /** DATA of a stream, together. */
  data(stream: number): Buffer {
    return Buffer.concat(
      this.of(stream)
        .filter(({ type }) => type === FRAME.data)
        .map(({ payload }) => payload),
    );
  }

  /** What came at the end of a stream: its END_STREAM, and the code of its RST_STREAM. */
  ending(stream: number): { readonly ended: boolean; readonly reset: number | undefined } {
    const frames = this.of(stream);
    const hasEnd = ({ type, flags }: Frame) =>
      (type === FRAME.data || type === FRAME.headers) && (flags & END_STREAM) !== 0;
    const reset = frames.find(({ type }) => type === FRAME.reset);
    return { ended: frames.some(hasEnd), reset: reset?.payload.readUInt32BE(0) };
  }

  /** The code of the GOAWAY; `undefined`: there was none. */
  get goaway(): number | undefined {
    return this.frames.find(({ type }) => type === FRAME.goaway)?.payload.readUInt32BE(4);
  }

  async when(isTrue: () => boolean, what: string, ms: number = WAIT_MS): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        if (!isTrue()) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        const seen = this.frames.map(
          ({ type, flags, stream, payload }) => `${type}/${flags}/${stream}/${payload.length}`,
        );
        reject(new Error(`no ${what} after ${ms} ms: ${seen.slice(-20).join(' ')}${this.isClosed ? ', closed' : ''}`));
      }, ms);
      this.#waiting.add(look);
      look();
    });
  }

  /** Opens a tunnel on a stream: its 200 is here when this resolves. */
  async tunnel(stream: number, authority: string): Promise<void> {
    this.send(frame(FRAME.headers, END_HEADERS, stream, fieldBlock(connectFields(authority))));
    await this.when(() => this.of(stream).some(({ type }) => type === FRAME.headers), `response on stream ${stream}`);
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < 9 + length) break;
      this.frames.push({
        type: this.#rest.readUInt8(3),
        flags: this.#rest.readUInt8(4),
        stream: this.#rest.readUInt32BE(5),
        payload: this.#rest.subarray(9, 9 + length),
      });
      this.#rest = this.#rest.subarray(9 + length);
    }
    this.#look();
  }

  #look(): void {
    for (const look of [...this.#waiting]) look();
  }
}
