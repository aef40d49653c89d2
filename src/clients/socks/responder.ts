import type { SentHead, TunnelResponder } from '../../contracts/client.ts';
import { FAILURES, ProxyError } from '../../contracts/failure.ts';
import type { Connection } from '../../contracts/stages.ts';
import type { Wire } from '../../contracts/wire.ts';
import { Stop } from '../../util/stop.ts';
import type { SocksVersion } from './version.ts';

/** What a reply needs of the connection that it goes out on. */
export interface SocksResponderHost {
  readonly wire: Wire;
  /** Gives the socket away, with what the client has sent ahead; `stop` still ends it. */
  handOff(stop: Stop): Connection;
  /** The refusal is out, and nothing follows it. */
  refused(): void;
}

/** The client's end of one request of SOCKS: a reply code, or a tunnel. */
export class SocksResponder implements TunnelResponder {
  /** The state of a connection with a request in progress. */
  readonly at = 'request';
  readonly signal: Stop = new Stop();
  readonly #host: SocksResponderHost;
  readonly #version: SocksVersion;
  #hasReplied = false;

  constructor(host: SocksResponderHost, version: SocksVersion) {
    this.#host = host;
    this.#version = version;
  }

  get headersSent(): boolean {
    return this.#hasReplied;
  }

  stop(why: ProxyError): void {
    this.signal.abort(why);
  }

  async established(): Promise<Connection> {
    const { wire } = this.#host;
    if (this.signal.aborted) throw this.signal.reason;
    if (wire.stream.destroyed) throw new ProxyError('client_gone', 'the client closed the connection');
    this.#hasReplied = true;
    wire.stream.write(this.#version.granted);
    return this.#host.handOff(this.signal);
  }

  refuse(error: ProxyError): SentHead | undefined {
    const { stream } = this.#host.wire;
    if (stream.destroyed) return undefined;
    this.#hasReplied = true;
    stream.write(this.#version.refusal(error));
    this.#host.refused();
    return sentOf(error);
  }

  abortResponse(): void {
    this.#host.wire.stream.destroy();
  }
}

/** What the record says of a refusal: the status that HTTP has for it. */
export const sentOf = ({ code }: ProxyError): SentHead => ({ status: FAILURES[code].status, headers: [] });
