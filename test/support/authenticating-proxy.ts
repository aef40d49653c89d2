import { createHash, randomBytes } from 'node:crypto';
import type { Message } from './http-messages.ts';
import { messagesIn } from './http-messages.ts';
import { ok, RawOrigin } from './origin.ts';
import type { RawPeer } from './raw-client.ts';

/** What an upstream proxy does with a request: a whole response, or `let in`. */
export type Judge = (request: ReceivedRequest) => string | 'let in';

export interface ReceivedRequest extends Message {
  readonly method: string;
  readonly uri: string;
  /** Value of `Proxy-Authorization`. */
  readonly credentials: string | undefined;
  /** How many requests came before it on its connection. */
  readonly at: number;
  readonly peer: RawPeer;
}

/** An upstream proxy that judges every request before it serves it. It serves tunnels by an echo, everything else by `served`. */
export class AuthenticatingProxy implements AsyncDisposable {
  readonly origin: RawOrigin;
  readonly requests: ReceivedRequest[];

  private constructor(origin: RawOrigin, asked: ReceivedRequest[]) {
    this.origin = origin;
    this.requests = asked;
  }

  static async listen(
    judge: Judge,
    served: (request: ReceivedRequest) => string = () => ok('served'),
  ): Promise<AuthenticatingProxy> {
    const asked: ReceivedRequest[] = [];
    const origin = await RawOrigin.listen((peer) => {
      let answered = 0;
      let isTunnel = false;
      peer.socket.on('data', () => {
        if (isTunnel) return;
        const complete = messagesIn(peer.received, { kind: 'request' }).filter((request) => request.complete);
        for (const message of complete.slice(answered)) {
          const [method = '', uri = ''] = message.startLine.split(' ');
          const credentials = message.fields.get('proxy-authorization');
          const request: ReceivedRequest = { ...message, method, uri, credentials, at: answered, peer };
          answered += 1;
          asked.push(request);
          const verdict = judge(request);
          if (verdict !== 'let in') peer.send(method === 'HEAD' ? headOf(verdict) : verdict);
          else if (method === 'TRACE')
            peer.send('HTTP/1.1 200 OK\r\nContent-Type: message/http\r\nContent-Length: 0\r\n\r\n');
          else if (method === 'CONNECT') {
            isTunnel = true;
            peer.send('HTTP/1.1 200 OK\r\n\r\n');
          } else peer.send(method === 'HEAD' ? 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n' : served(request));
        }
      });
      peer.socket.on('end', () => peer.end());
    });
    return new AuthenticatingProxy(origin, asked);
  }

  get url(): string {
    return `http://${this.origin.authority}`;
  }

  /** `METHOD credentials` of every request so far; credentials by their first word, or `-`. */
  get transcript(): string[] {
    return this.requests.map(({ method, credentials }) => `${method} ${credentials?.split(' ')[0] ?? '-'}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.origin[Symbol.asyncDispose]();
  }
}

const headOf = (answer: string): string => answer.slice(0, answer.indexOf('\r\n\r\n') + 4);

/** A 407 with these challenges, each in a line of its own, and a page. */
export const asks = (...challenges: string[]): string =>
  `HTTP/1.1 407 Who\r\n${challenges.map((one) => `Proxy-Authenticate: ${one}\r\n`).join('')}Content-Length: 9\r\n\r\nwho? who?`;

export const BASIC = 'Basic realm="corp"';

/** Accepts this user and password in Basic. */
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
    const params = new Map(
      [...credentials.matchAll(/(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/g)].map(([, name = '', quoted, bare]) => [
        name,
        quoted ?? bare ?? '',
      ]),
    );
    const get = (name: string): string => params.get(name) ?? '';
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

  /** Forgets all nonces, as an upstream proxy that starts anew. */
  restart(): void {
    this.#nonces.clear();
  }

  #asks(more: string): string {
    const nonce = randomBytes(8).toString('hex');
    this.#nonces.set(nonce, new Set());
    return asks(`Digest realm="corp", nonce="${nonce}", qop="auth"${more}`);
  }
}

/** A Type 2 (MS-NLMP §2.2.1.2) of the domain CORP: Unicode, with a target info of its domain and its time. */
export function ntlmChallenge(): Buffer {
  const name = Buffer.from('CORP', 'utf16le');
  const fact = (id: number, value: Buffer): Buffer => {
    const head = Buffer.alloc(4);
    head.writeUInt16LE(id, 0);
    head.writeUInt16LE(value.length, 2);
    return Buffer.concat([head, value]);
  };
  const info = Buffer.concat([
    fact(2, name),
    fact(7, Buffer.from('0090d336b734c301', 'hex')),
    fact(0, Buffer.alloc(0)),
  ]);
  const head = Buffer.alloc(56);
  head.write('NTLMSSP\0\x02\0\0\0', 'latin1');
  const point = (at: number, length: number, offset: number): void => {
    head.writeUInt16LE(length, at);
    head.writeUInt16LE(length, at + 2);
    head.writeUInt32LE(offset, at + 4);
  };
  point(12, name.length, head.length);
  head.writeUInt32LE(0xa2898205, 20);
  randomBytes(8).copy(head, 24);
  point(40, info.length, head.length + name.length);
  return Buffer.concat([head, name, info]);
}

/** The NTLM message in a field, SPNEGO around it or not: its type, and where there is one, its user. */
export function ntlmIn(credentials: string | undefined): { readonly type: number; readonly user: string } | undefined {
  const token = Buffer.from(credentials?.split(' ')[1] ?? '', 'base64');
  const message = token.subarray(Math.max(0, token.indexOf('NTLMSSP\0', 0, 'latin1')));
  if (message.length < 16) return undefined;
  const type = message.readUInt32LE(8);
  if (type !== 3) return { type, user: '' };
  const text = (at: number): string => {
    const from = message.readUInt32LE(at + 4);
    return message.toString('utf16le', from, from + message.readUInt16LE(at));
  };
  return { type, user: `${text(28)}\\${text(36)}` };
}

export interface NtlmOptions {
  readonly scheme?: 'NTLM' | 'Negotiate';
  /** Where its Type 2 stands. */
  readonly wrap?: (challenge: Buffer) => string;
  /** Its response to a Type 3. */
  readonly verdict?: 'right' | 'wrong';
}

/** NTLM, which logs on connections: a Type 3 counts on the connection of its Type 2 alone. It does not verify proofs. */
export function ntlmJudge({ scheme = 'NTLM', wrap, verdict = 'right' }: NtlmOptions = {}): Judge {
  const states = new WeakMap<RawPeer, 'challenged' | 'in'>();
  const challenge = wrap ?? ((message: Buffer) => `${scheme} ${message.toString('base64')}`);
  return ({ credentials, peer }) => {
    const message = ntlmIn(credentials);
    if (message === undefined) return states.get(peer) === 'in' ? 'let in' : asks(scheme);
    if (message.type === 1) {
      states.set(peer, 'challenged');
      return asks(challenge(ntlmChallenge()));
    }
    if (states.get(peer) !== 'challenged' || verdict === 'wrong') {
      states.delete(peer);
      return asks(scheme);
    }
    states.set(peer, 'in');
    return 'let in';
  };
}
