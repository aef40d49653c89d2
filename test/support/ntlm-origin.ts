import { ntlmChallenge, ntlmIn } from './authenticating-proxy.ts';
import { messagesIn } from './http-messages.ts';
import { ok, RawOrigin } from './origin.ts';
import type { RawPeer } from './raw-client.ts';

/** A request, the user that its connection was authenticated as, and the scheme of its `Authorization`. */
export interface Visit {
  readonly connection: number;
  readonly user: string | undefined;
  readonly line: string;
  readonly scheme: string;
}

export interface NtlmOriginOptions {
  /** Challenges of its 401, each in a line of its own. */
  readonly challenges?: readonly string[];
  /** Fields of every answer. */
  readonly fields?: readonly string[];
  /** The user of a `Negotiate` token other than NTLM; `undefined` if it is not valid. */
  readonly ticketOf?: (token: Buffer) => { readonly user: string; readonly answer: Buffer } | undefined;
}

/**
 * A web server that logs on connections, as IIS does with NTLM and Negotiate: a request on a connection is of the
 * user that its last proof was of. It answers `USER on CONNECTION`, and does not verify proofs of NTLM.
 */
export class NtlmOrigin implements AsyncDisposable {
  readonly origin: RawOrigin;
  readonly visits: Visit[];

  private constructor(origin: RawOrigin, visits: Visit[]) {
    this.origin = origin;
    this.visits = visits;
  }

  static async listen(options: NtlmOriginOptions = {}): Promise<NtlmOrigin> {
    const visits: Visit[] = [];
    let connections = 0;
    const origin = await RawOrigin.listen((peer) => {
      const login = new NtlmLogin(peer, connections++, options, visits);
      peer.socket.on('data', () => login.look());
      peer.socket.on('end', () => peer.end());
    });
    return new NtlmOrigin(origin, visits);
  }

  get authority(): string {
    return this.origin.authority;
  }

  /** Proofs and tickets that it has accepted: each is a login. */
  get logins(): number {
    return new Set(this.visits.flatMap(({ user, connection }) => (user === undefined ? [] : [connection]))).size;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.origin[Symbol.asyncDispose]();
  }
}

/** One connection of it. */
class NtlmLogin {
  readonly #peer: RawPeer;
  readonly #connection: number;
  readonly #options: NtlmOriginOptions;
  readonly #visits: Visit[];
  #answered = 0;
  #isChallenged = false;
  #user: string | undefined;

  constructor(peer: RawPeer, connection: number, options: NtlmOriginOptions, visits: Visit[]) {
    this.#peer = peer;
    this.#connection = connection;
    this.#options = options;
    this.#visits = visits;
  }

  look(): void {
    const complete = messagesIn(this.#peer.received, { kind: 'request' }).filter((request) => request.complete);
    for (const { startLine, fields, body } of complete.slice(this.#answered)) {
      this.#answered += 1;
      const credentials = fields.get('authorization') ?? '';
      const answer = this.#answer(credentials, body.toString());
      this.#visits.push({
        connection: this.#connection,
        user: this.#user,
        line: startLine,
        scheme: credentials.split(' ')[0] ?? '',
      });
      this.#peer.send(startLine.startsWith('HEAD ') ? answer.slice(0, answer.indexOf('\r\n\r\n') + 4) : answer);
    }
  }

  #answer(credentials: string, body: string): string {
    const [scheme = '', token = ''] = credentials.split(' ');
    const message = ntlmIn(credentials);
    if (message?.type === 1) {
      this.#isChallenged = true;
      this.#user = undefined;
      return this.#asks(`${scheme} ${ntlmChallenge().toString('base64')}`);
    }
    if (message?.type === 3) {
      if (!this.#isChallenged) return this.#asks();
      this.#isChallenged = false;
      this.#user = message.user;
      return this.#serves(body);
    }
    const ticket = credentials === '' ? undefined : this.#options.ticketOf?.(Buffer.from(token, 'base64'));
    if (ticket !== undefined) {
      this.#user = ticket.user;
      return this.#serves(body, `WWW-Authenticate: ${scheme} ${ticket.answer.toString('base64')}`);
    }
    return this.#user === undefined ? this.#asks() : this.#serves(body);
  }

  #serves(body: string, ...more: string[]): string {
    const what = body === '' ? '' : ` with ${body}`;
    return ok(`${this.#user} on ${this.#connection}${what}\n`, ...(this.#options.fields ?? []), ...more);
  }

  #asks(...challenges: string[]): string {
    const all = challenges.length > 0 ? challenges : (this.#options.challenges ?? ['NTLM']);
    const fields = [...(this.#options.fields ?? []), ...all.map((one) => `WWW-Authenticate: ${one}`)];
    return `HTTP/1.1 401 Who\r\n${fields.map((field) => `${field}\r\n`).join('')}Content-Length: 3\r\n\r\nwho`;
  }
}

/** A Type 1 of NTLM. */
export const ntlmHello = (scheme: 'NTLM' | 'Negotiate' = 'NTLM'): string => {
  const message = Buffer.alloc(32);
  message.write('NTLMSSP\0\x01', 'latin1');
  message.writeUInt32LE(0xa2088207, 12);
  return `Authorization: ${scheme} ${message.toString('base64')}`;
};

/** A Type 3 of a user of CORP, with a proof that is none. */
export function ntlmProof(user: string, scheme: 'NTLM' | 'Negotiate' = 'NTLM'): string {
  const [domain, name] = [Buffer.from('CORP', 'utf16le'), Buffer.from(user, 'utf16le')];
  const head = Buffer.alloc(64);
  head.write('NTLMSSP\0\x03', 'latin1');
  for (const [at, length, offset] of [
    [12, 0, 64],
    [20, 0, 64],
    [28, domain.length, 64],
    [36, name.length, 64 + domain.length],
    [44, 0, 64],
    [52, 0, 64],
  ] as const) {
    head.writeUInt16LE(length, at);
    head.writeUInt16LE(length, at + 2);
    head.writeUInt32LE(offset, at + 4);
  }
  head.writeUInt32LE(0xa2888205, 60);
  return `Authorization: ${scheme} ${Buffer.concat([head, domain, name]).toString('base64')}`;
}
