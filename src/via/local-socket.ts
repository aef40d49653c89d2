import { Duplex } from 'node:stream';

/** A write waits until the other end has taken it, so that neither end holds more than one write and a read. */
type WriteCallback = (error?: Error | null) => void;

/** Whether a socket stays writable once its peer has ended; if not, it ends too, as `net.connect` has it. */
export type AtPeersEnd = 'end-too' | 'half-open';

/** The sockets below a local one: an agent calls `unref` on an idle connection, so that it does not keep the process alive. */
export interface RefControl {
  ref(): void;
  unref(): void;
}

/** One end of a connection inside this process. It has what agents call on a `net.Socket`. */
export class LocalSocket extends Duplex {
  /** As of a `net.Socket`: milliseconds without a byte until `timeout`. */
  timeout: number | undefined;
  #refControl: RefControl | undefined;
  #peer: LocalSocket | undefined;
  #pendingWrite: WriteCallback | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Two ends of one connection: what one writes the other reads, and what destroys one destroys the other. */
  static pair(
    refControl: RefControl | undefined,
    atPeersEnd: AtPeersEnd,
  ): readonly [near: LocalSocket, far: LocalSocket] {
    const near = new LocalSocket({ allowHalfOpen: atPeersEnd === 'half-open' });
    const far = new LocalSocket({ allowHalfOpen: true });
    near.#refControl = refControl;
    near.#peer = far;
    far.#peer = near;
    return [near, far];
  }

  setTimeout(ms: number, listener?: () => void): this {
    clearTimeout(this.#timer);
    this.timeout = ms;
    // As for a `net.Socket`, the timer alone does not keep the process alive.
    this.#timer = ms > 0 ? setTimeout(() => this.emit('timeout'), ms).unref() : undefined;
    if (listener === undefined) return this;
    return ms > 0 ? this.once('timeout', listener) : this.off('timeout', listener);
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    this.#refControl?.ref();
    return this;
  }

  unref(): this {
    this.#refControl?.unref();
    return this;
  }

  override _read(): void {
    const taken = this.#pendingWrite;
    this.#pendingWrite = undefined;
    taken?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, taken: WriteCallback): void {
    this.#timer?.refresh();
    const other = this.#peer;
    if (other === undefined) taken();
    else other.#receive(chunk, taken);
  }

  override _final(done: WriteCallback): void {
    this.#peer?.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#timer);
    const other = this.#peer;
    this.#peer = undefined;
    // Later: the other end first reads what it was sent.
    if (other !== undefined) setImmediate(() => other.destroy(error ?? undefined));
    done(error);
  }

  #receive(chunk: Buffer, taken: WriteCallback): void {
    this.#timer?.refresh();
    // No bytes wake no reader, so the writer would wait for ever.
    if (chunk.length === 0) return taken();
    this.#pendingWrite = taken;
    this.push(chunk);
  }
}
