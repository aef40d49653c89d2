import { accountLabel } from '../../contracts/account.ts';
import type { Credential } from '../../contracts/upstream-account.ts';
import type { AuthMessage, AuthScheme, ChallengeResult, Unavailable } from '../auth-scheme.ts';

/** Basic in UTF-8 (RFC 7617 §2), after the proxy has asked for it: the password itself goes over the wire. */
export class BasicScheme implements AuthScheme {
  readonly mechanism = 'basic';
  readonly sentCredentials = true;
  readonly isFinalLeg = true;
  readonly #value: string;

  private constructor(value: string) {
    this.#value = value;
  }

  static with(credential: Credential): BasicScheme | Unavailable {
    const { secret } = credential;
    const user = accountLabel(credential);
    if (secret.kind !== 'password') return { unavailable: 'a hash is not enough for Basic' };
    // The first colon ends the name.
    if (user.includes(':')) return { unavailable: 'Basic allows no colon in a user name' };
    const pair = Buffer.from(`${user}:${secret.password.reveal()}`.normalize('NFC'));
    return new BasicScheme(`Basic ${pair.toString('base64')}`);
  }

  next(_message: AuthMessage): string {
    return this.#value;
  }

  onChallenge(): ChallengeResult {
    return 'rejected';
  }

  accepted(): undefined {}

  [Symbol.dispose](): void {}
}
