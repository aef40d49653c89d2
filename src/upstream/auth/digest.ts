import { randomBytes } from 'node:crypto';
import type { Credential } from '../../core/contracts.ts';
import type { Headers } from '../../core/request.ts';
import type { Challenge } from '../../protocol/challenge.ts';
import {
  answerDigest,
  type DigestChallenge,
  type DigestUse,
  readDigestInfo,
  strongestDigest,
} from '../../protocol/digest.ts';
import type { DigestAccount } from '../../protocol/digest-response.ts';
import { firstOf } from '../../protocol/header-list.ts';
import { accountName } from './basic.ts';
import type { AuthMessage, Obstacle, Talk, Verdict } from './talk.ts';

/** A nonce and how often it has been used, by all requests together: a proxy refuses a number that it has seen. */
export class DigestSession {
  readonly challenge: DigestChallenge;
  readonly #cnonce = randomBytes(16).toString('hex');
  #count = 0;

  constructor(challenge: DigestChallenge) {
    this.challenge = challenge;
  }

  use({ method, uri, body }: AuthMessage): DigestUse {
    this.#count += 1;
    const empty = body === 'none' ? { body: Buffer.alloc(0) } : {};
    return { method, uri, count: this.#count, cnonce: this.#cnonce, ...empty };
  }
}

/** Where the session of a proxy is kept for the next request. */
export interface DigestKeeper {
  digest: DigestSession | undefined;
}

/** Answers with one nonce older than the proxy likes; a proxy that finds every new one stale is not asked for ever. */
const STALE_MAX = 3;

/** Digest (RFC 7616). */
export class DigestTalk implements Talk {
  readonly way = 'digest';
  readonly hasProved = true;
  readonly #account: DigestAccount;
  readonly #keeper: DigestKeeper;
  #session: DigestSession;
  /** Whether the nonce was made for this very request. */
  #isFresh: boolean;
  #stale = 0;
  #used: DigestUse | undefined;

  private constructor(account: DigestAccount, keeper: DigestKeeper, session: DigestSession, isFresh: boolean) {
    this.#account = account;
    this.#keeper = keeper;
    this.#session = session;
    this.#isFresh = isFresh;
  }

  /** With the nonce of these challenges; without any, with the one that is remembered. */
  static with(
    credential: Credential,
    keeper: DigestKeeper,
    challenges: readonly Challenge[] | undefined,
  ): DigestTalk | Obstacle {
    const { secret } = credential;
    if (secret.kind !== 'password') return { obstacle: 'a hash is not enough for Digest' };
    const account = { user: accountName(credential), password: secret.password };
    if (challenges === undefined) {
      return keeper.digest === undefined
        ? { obstacle: 'there is no nonce yet' }
        : new DigestTalk(account, keeper, keeper.digest, false);
    }
    const challenge = strongestDigest(challenges);
    if (challenge === undefined) return { obstacle: 'its Digest challenge cannot be answered' };
    keeper.digest = new DigestSession(challenge);
    return new DigestTalk(account, keeper, keeper.digest, true);
  }

  get isLast(): boolean {
    return this.#isFresh;
  }

  next(message: AuthMessage): string | Obstacle {
    this.#used = this.#session.use(message);
    return (
      answerDigest(this.#session.challenge, this.#used, this.#account) ?? {
        obstacle: 'it wants Digest to cover the body (auth-int), which is sent as it comes',
      }
    );
  }

  judge(challenges: readonly Challenge[]): Verdict {
    const challenge = strongestDigest(challenges);
    if (challenge === undefined) return 'rejected';
    // A nonce that was remembered may have been forgotten by a proxy that has started anew: it need not call it stale.
    const isOld = !this.#isFresh && challenge.nonce !== this.#session.challenge.nonce;
    if (!(challenge.stale || isOld)) return 'rejected';
    this.#stale += 1;
    if (this.#stale > STALE_MAX) return { obstacle: 'it finds every nonce of its own stale' };
    this.#session = new DigestSession(challenge);
    this.#keeper.digest = this.#session;
    this.#isFresh = true;
    return 'again';
  }

  accepted(headers: Headers): undefined {
    const info = firstOf(headers, 'proxy-authentication-info');
    if (info === undefined || this.#used === undefined) return;
    const { nextNonce } = readDigestInfo(info, this.#session.challenge, this.#used, this.#account);
    // Somebody else's request may have brought a newer one meanwhile.
    if (nextNonce === undefined || this.#keeper.digest !== this.#session) return;
    this.#session = new DigestSession({ ...this.#session.challenge, nonce: nextNonce, stale: false });
    this.#keeper.digest = this.#session;
  }

  [Symbol.dispose](): void {}
}
