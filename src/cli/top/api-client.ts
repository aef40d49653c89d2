import type { IncomingMessage, RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { nodeHttp } from '../../util/node-http.ts';

/** How the API is reached: by the control socket of the same user, or by its address with a token. */
export type ApiAddress =
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'url'; readonly url: URL; readonly token: string | undefined };

export interface StreamEvent {
  readonly name: string;
  readonly data: unknown;
}

/** A snapshot of thousands of rows is one line. */
const LINE_CHARS_MAX = 16 * 1024 * 1024;
const ANSWER_MS = 5_000;
/** The server sends a comment line every 15 s. */
const SILENCE_MS = 40_000;

/** The admin API of a running proxy. */
export class ApiClient {
  readonly #address: ApiAddress;

  constructor(address: ApiAddress) {
    this.#address = address;
  }

  /** Ends one request or tunnel. False: it has ended already. Rejects when the API cannot be reached or refuses. */
  async end(id: string): Promise<boolean> {
    const response = await this.#send('DELETE', `/api/tunnels/${encodeURIComponent(id)}`, ANSWER_MS);
    response.resume();
    if (response.statusCode === 404) return false;
    if (response.statusCode !== 204) throw new Error(refusalText(response.statusCode));
    return true;
  }

  /** Has the proxy serve what is open, and end. Rejects when the API cannot be reached or refuses. */
  async drain(): Promise<void> {
    const response = await this.#send('POST', '/api/drain', ANSWER_MS);
    response.resume();
    const status = response.statusCode ?? 0;
    if (status < 200 || status > 299) throw new Error(refusalText(status));
  }

  /** Events as they come, until the connection ends. Rejects when the API cannot be reached or refuses. */
  async *events(signal: AbortSignal): AsyncGenerator<StreamEvent> {
    const response = await this.#send('GET', '/api/events', SILENCE_MS, signal);
    if (response.statusCode !== 200) {
      response.destroy();
      throw new Error(refusalText(response.statusCode));
    }
    response.setEncoding('utf8');
    let rest = '';
    for await (const chunk of response) {
      const parts = (rest + String(chunk)).split('\n\n');
      rest = parts.pop() ?? '';
      if (rest.length > LINE_CHARS_MAX) throw new Error('an event of the proxy is too large');
      for (const part of parts) {
        const event = eventOf(part);
        if (event !== undefined) yield event;
      }
    }
  }

  #send(method: string, path: string, silenceMs: number, signal?: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const sent = this.#request(
        { method, path, agent: false, timeout: silenceMs, ...(signal && { signal }) },
        resolve,
      );
      sent.on('timeout', () => sent.destroy(new Error('the proxy does not answer')));
      sent.on('error', (cause: NodeJS.ErrnoException) =>
        reject(cause.code === 'ECONNREFUSED' ? this.#nothingThere(cause) : cause),
      );
      sent.end();
    });
  }

  #nothingThere(cause: Error): Error {
    const where = this.#address.kind === 'socket' ? this.#address.path : this.#address.url.origin;
    return new Error(`nothing listens at ${where}; the line "dashboard on" of viaduct run has the address`, { cause });
  }

  #request(options: RequestOptions, onResponse: (response: IncomingMessage) => void) {
    if (this.#address.kind === 'socket')
      return nodeHttp().request({ ...options, socketPath: this.#address.path, host: 'localhost' }, onResponse);
    const { url, token } = this.#address;
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const request = url.protocol === 'https:' ? httpsRequest : nodeHttp().request;
    return request({ ...options, headers, host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port }, onResponse);
  }
}

const refusalText = (status: number | undefined): string =>
  status === 401 ? 'the proxy wants a token; set VIADUCT_ADMIN_TOKEN' : `the proxy answered ${status ?? 'nothing'}`;

/** One event of `text/event-stream`, as far as the API uses it: comments, `event` and `data`. */
function eventOf(part: string): StreamEvent | undefined {
  const lines = part.split(/\r?\n/);
  const name = lines
    .find((line) => line.startsWith('event:'))
    ?.slice(6)
    .trim();
  const data = lines.filter((line) => line.startsWith('data:')).map((line) => line.slice(5));
  return name === undefined || data.length === 0 ? undefined : { name, data: JSON.parse(data.join('\n')) };
}
