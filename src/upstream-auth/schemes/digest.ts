import { randomBytes } from 'node:crypto';
import { accountLabel } from '../../contracts/account.ts';
import type { Headers } from '../../contracts/request.ts';
import type { Credential } from '../../contracts/upstream-account.ts';
import type { Challenge } from '../../protocol/http-auth/challenge.ts';
import {
  type DigestChallenge,
  type DigestUse,
  digestCredentials,
  readDigestInfo,
  strongestDigest,
} from '../../protocol/http-auth/digest.ts';
import type { DigestAccount } from '../../protocol/http-auth/digest-response.ts';
import { firstOf } from '../../protocol/http1/header-list.ts';
import type { AuthMessage, AuthScheme, ChallengeResult, Unavailable } from '../auth-scheme.ts';

/** A nonce and how often it has been used, by all requests together: a proxy refuses a count that it has seen. */
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
export interface DigestSessionCache {
  digest: DigestSession | undefined;
}

/** Nonces of one request that the proxy calls stale; a proxy that calls every new one stale is not asked for ever. */
const STALE_MAX = 3;

/** Digest (RFC 7616). */
export class DigestScheme implements AuthScheme {
  readonly mechanism = 'digest';
  readonly sentCredentials = true;
  readonly #account: DigestAccount;
  readonly #cache: DigestSessionCache;
  #session: DigestSession;
  /** Whether the nonce was made for this very request. */
  #isFresh: boolean;
  #stale = 0;
  #used: DigestUse | undefined;

  private constructor(account: DigestAccount, keeper: DigestSessionCache, session: DigestSession, isFresh: boolean) {
    this.#account = account;
    this.#cache = keeper;
    this.#session = session;
    this.#isFresh = isFresh;
  }

  /** With the nonce of these challenges; without any, with the one that is remembered. */
  static with(
    credential: Credential,
    keeper: DigestSessionCache,
    challenges: readonly Challenge[] | undefined,
  ): DigestScheme | Unavailable {
    const { secret } = credential;
    if (secret.kind !== 'password') return { unavailable: 'a hash is not enough for Digest' };
    const account = { user: accountLabel(credential), password: secret.password };
    if (challenges === undefined) {
      return keeper.digest === undefined
        ? { unavailable: 'there is no nonce yet' }
        : new DigestScheme(account, keeper, keeper.digest, false);
    }
    const challenge = strongestDigest(challenges);
    if (challenge === undefined) return { unavailable: 'its Digest challenge cannot be answered' };
    return new DigestScheme(account, keeper, new DigestSession(challenge), true);
  }

  get isFinalLeg(): boolean {
    return this.#isFresh;
  }

  next(message: AuthMessage): string | Unavailable {
    this.#used = this.#session.use(message);
    return (
      digestCredentials(this.#session.challenge, this.#used, this.#account) ?? {
        unavailable: 'it wants Digest to cover the body (auth-int), which is sent as it comes',
      }
    );
  }

  onChallenge(challenges: readonly Challenge[]): ChallengeResult {
    const challenge = strongestDigest(challenges);
    if (challenge === undefined || !this.#isOld(challenge)) return 'rejected';
    this.#stale += 1;
    if (this.#stale > STALE_MAX) return { unavailable: 'it finds every nonce of its own stale' };
    this.#session = new DigestSession(challenge);
    this.#isFresh = true;
    return 'again';
  }

  /** A realm or an algorithm of its own would make the proof a wrong one: such a challenge may be a target's. */
  isNonceOld(challenges: readonly Challenge[]): boolean {
    const challenge = strongestDigest(challenges);
    const { realm, algorithmName } = this.#session.challenge;
    return challenge?.realm === realm && challenge.algorithmName === algorithmName && this.#isOld(challenge);
  }

  /** A proxy that has restarted has forgotten a nonce that we remember, and need not call it stale. */
  #isOld({ stale, nonce }: DigestChallenge): boolean {
    return stale || (!this.#isFresh && nonce !== this.#session.challenge.nonce);
  }

  accepted(headers: Headers): undefined {
    // Not before: a nonce may have come from a target that only looks like the proxy.
    if (this.#isFresh) this.#cache.digest = this.#session;
    const info = firstOf(headers, 'proxy-authentication-info');
    if (info === undefined || this.#used === undefined) return;
    const { nextNonce } = readDigestInfo(info, this.#session.challenge, this.#used, this.#account);
    // Another request may have brought a newer one meanwhile.
    if (nextNonce === undefined || this.#cache.digest !== this.#session) return;
    this.#session = new DigestSession({ ...this.#session.challenge, nonce: nextNonce, stale: false });
    this.#cache.digest = this.#session;
  }

  [Symbol.dispose](): void {}
}
