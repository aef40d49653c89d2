import type { Credential } from '../../core/contracts.ts';
import type { AuthMessage, Obstacle, Talk, Verdict } from './talk.ts';

/** Basic in UTF-8 (RFC 7617 §2), after the proxy has asked for it: the password itself goes over the wire. */
export class BasicTalk implements Talk {
  readonly way = 'basic';
  readonly hasProved = true;
  readonly isLast = true;
  readonly #value: string;

  private constructor(value: string) {
    this.#value = value;
  }

  static with(credential: Credential): BasicTalk | Obstacle {
    const { secret } = credential;
    const user = accountName(credential);
    if (secret.kind !== 'password') return { obstacle: 'a hash is not enough for Basic' };
    // The first colon ends the name.
    if (user.includes(':')) return { obstacle: 'a user name with a colon cannot be said in Basic' };
    const pair = Buffer.from(`${user}:${secret.password.reveal()}`.normalize('NFC'));
    return new BasicTalk(`Basic ${pair.toString('base64')}`);
  }

  next(_message: AuthMessage): string {
    return this.#value;
  }

  judge(): Verdict {
    return 'rejected';
  }

  accepted(): undefined {}

  [Symbol.dispose](): void {}
}

/** `CORP\me`, or `me`: what Windows' proxies take in schemes that know no domain. */
export const accountName = ({ user, domain }: Pick<Credential, 'user' | 'domain'>): string =>
  domain ? `${domain}\\${user}` : user;
