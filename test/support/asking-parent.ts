import { createHash, randomBytes } from 'node:crypto';
import type { Message } from './http-messages.ts';
import { messagesIn } from './http-messages.ts';
import { ok, RawOrigin } from './origin.ts';
import type { RawPeer } from './raw-client.ts';

/** What a parent does with a request: an answer in full, or `let in`. */
export type Judge = (request: Asked) => string | 'let in';

export interface Asked extends Message {
  readonly method: string;
  readonly uri: string;
  /** Value of `Proxy-Authorization`. */
  readonly credentials: string | undefined;
  /** How many requests came before it on its connection. */
  readonly at: number;
  readonly peer: RawPeer;
}

/** A parent that judges every request before it serves it. It serves tunnels by an echo, everything else by `served`. */
export class AskingParent implements AsyncDisposable {
  readonly origin: RawOrigin;
  readonly asked: Asked[];

  private constructor(origin: RawOrigin, asked: Asked[]) {
    this.origin = origin;
    this.asked = asked;
  }

  static async listen(judge: Judge, served: (request: Asked) => string = () => ok('served')): Promise<AskingParent> {
    const asked: Asked[] = [];
    const origin = await RawOrigin.listen((peer) => {
      let answered = 0;
      let isTunnel = false;
      peer.socket.on('data', () => {
        if (isTunnel) return;
        const complete = messagesIn(peer.received, { kind: 'request' }).filter((request) => request.complete);
        for (const message of complete.slice(answered)) {
          const [method = '', uri = ''] = message.startLine.split(' ');
          const credentials = message.fields.get('proxy-authorization');
          const request: Asked = { ...message, method, uri, credentials, at: answered, peer };
          answered += 1;
          asked.push(request);
          const verdict = judge(request);
          if (verdict !== 'let in') peer.send(verdict);
          else if (method === 'CONNECT') {
            isTunnel = true;
            peer.send('HTTP/1.1 200 OK\r\n\r\n');
          } else peer.send(method === 'HEAD' ? 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n' : served(request));
        }
      });
      peer.socket.on('end', () => peer.end());
    });
    return new AskingParent(origin, asked);
  }

  get url(): string {
    return `http://${this.origin.authority}`;
  }

  /** `METHOD credentials` of every request so far; credentials by their first word, or `-`. */
  get story(): string[] {
    return this.asked.map(({ method, credentials }) => `${method} ${credentials?.split(' ')[0] ?? '-'}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.origin[Symbol.asyncDispose]();
  }
}

/** A 407 with these challenges, each in a line of its own, and a page. */
export const asks = (...challenges: string[]): string =>
  `HTTP/1.1 407 Who\r\n${challenges.map((one) => `Proxy-Authenticate: ${one}\r\n`).join('')}Content-Length: 9\r\n\r\nwho? who?`;

export const BASIC = 'Basic realm="corp"';

/** Lets in who says this in Basic. */
export const basicJudge =
  (user: string, password: string): Judge =>
  ({ credentials }) =>
    credentials === `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` ? 'let in' : asks(BASIC);

const md5 = (...parts: readonly string[]): string => createHash('md5').update(parts.join(':')).digest('hex');

/** Digest with qop=auth, written apart from src/protocol: nonces good for some uses, each number once. */
export class DigestJudge {
  readonly #account: readonly [user: string, password: string];
  readonly #usesMax: number;
  readonly #nonces = new Map<string, Set<string>>();
  /** Proofs that were wrong. */
  wrong = 0;

  constructor(user: string, password: string, usesMax: number = Number.POSITIVE_INFINITY) {
    this.#account = [user, password];
    this.#usesMax = usesMax;
  }

  readonly judge: Judge = ({ credentials, method, uri }) => {
    if (!credentials?.startsWith('Digest ')) return this.#asks('');
    const said = new Map(
      [...credentials.matchAll(/(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/g)].map(([, name = '', quoted, bare]) => [
        name,
        quoted ?? bare ?? '',
      ]),
    );
    const get = (name: string): string => said.get(name) ?? '';
    const [user, password] = this.#account;
    const key = md5(user, 'corp', password);
    const uses = this.#nonces.get(get('nonce'));
    const proof = md5(key, get('nonce'), get('nc'), get('cnonce'), 'auth', md5(method, get('uri')));
    const isRight = get('username') === user && get('uri') === uri && get('response') === proof;
    if (!isRight) {
      this.wrong += 1;
      return this.#asks('');
    }
    if (uses === undefined || uses.has(get('nc')) || uses.size >= this.#usesMax) return this.#asks(', stale=true');
    uses.add(get('nc'));
    return 'let in';
  };

  /** Forgets all nonces, as a parent that starts anew. */
  restart(): void {
    this.#nonces.clear();
  }

  #asks(more: string): string {
    const nonce = randomBytes(8).toString('hex');
    this.#nonces.set(nonce, new Set());
    return asks(`Digest realm="corp", nonce="${nonce}", qop="auth"${more}`);
  }
}
