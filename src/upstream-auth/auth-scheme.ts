import type { Headers } from '../contracts/request.ts';
import type { Sink } from '../contracts/wire.ts';
import type { Challenge } from '../protocol/http-auth/challenge.ts';
import type { AuthMechanism } from './auth-mechanism.ts';

/** The message that a field goes with. */
export interface AuthMessage {
  readonly method: string;
  /** The request-target as it is sent. */
  readonly uri: string;
  readonly body: 'none' | 'some';
}

/** Why a mechanism cannot be used, for people: one clause. */
export interface Unavailable {
  readonly unavailable: string;
}

/**
 * What a 407 to our own field means. `go-on`: the response to it comes next, on the same connection. `again`: the nonce
 * was too old, which says nothing about the secret. `rejected`: the proxy has read our proof and does not accept it.
 * Unavailable: no proof was sent.
 */
export type ChallengeResult = 'go-on' | 'again' | 'rejected' | Unavailable;

/** One scheme in one request to one proxy. */
export interface AuthScheme extends Disposable {
  readonly mechanism: AuthMechanism;
  /** Whether the last field that `next` returned carries the proof. */
  readonly sentCredentials: boolean;
  /** Whether the next field is meant to be the last: the proxy then has no reason to ask again. */
  readonly isFinalLeg: boolean;
  /** The next value of `Proxy-Authorization`, and the stream that it goes over. */
  next(message: AuthMessage, over: Sink): string | Unavailable | Promise<string | Unavailable>;
  onChallenge(challenges: readonly Challenge[]): ChallengeResult;
  /** Where there are nonces: whether `onChallenge` will return `again`. Changes nothing. */
  isNonceOld?(challenges: readonly Challenge[]): boolean;
  /** The proxy has accepted the proof. Unavailable: it could not prove its own identity. */
  accepted(headers: Headers): Unavailable | undefined | Promise<Unavailable | undefined>;
}
