import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { LabAccount } from './accounts.ts';

/** Samba's own client, which encodes names and passwords outside ASCII as NTLM requires; curl does not. */
export class SambaClient implements AsyncDisposable {
  readonly #child;
  readonly #lines;
  readonly #ended: Promise<unknown>;

  /** Bare NTLM, or NTLM inside SPNEGO. */
  constructor(kind: 'ntlm' | 'spnego', { user, password }: LabAccount, domain: string) {
    const protocol = kind === 'ntlm' ? 'ntlmssp-client-1' : 'gss-spnego-client';
    const account = [`--username=${user}`, `--domain=${domain}`, `--password=${password}`];
    this.#child = spawn('ntlm_auth', [`--helper-protocol=${protocol}`, '--configfile=/dev/null', ...account], {
      env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8' },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#ended = new Promise((resolve) => this.#child.on('close', resolve));
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  /** The next token in base64, as an answer to the challenge; without one, the first. */
  async token(challenge?: string): Promise<string> {
    this.#child.stdin.write(challenge === undefined ? 'YR\n' : `TT ${challenge}\n`);
    const { value } = await this.#lines.next();
    const [verb = '', token] = String(value).split(' ');
    if (!/^(?:YR|KK|AF)$/.test(verb) || token === undefined) throw new Error(`Samba's client printed ${value}`);
    return token;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end();
    await this.#ended;
  }
}
