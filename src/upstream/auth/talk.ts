import type { Headers } from '../../core/request.ts';
import type { Sink } from '../../core/source.ts';
import type { Challenge } from '../../protocol/challenge.ts';
import type { Way } from './ways.ts';

/** The message that a field goes with. */
export interface AuthMessage {
  readonly method: string;
  /** The request-target as it is sent. */
  readonly uri: string;
  readonly body: 'none' | 'some';
}

/** Why a way cannot be gone, for people: one clause. */
export interface Obstacle {
  readonly obstacle: string;
}

/**
 * What a 407 to our own field means. `go-on`: the answer to it comes next, on the same connection. `again`: the nonce
 * was too old, and nothing was said about the secret. `rejected`: we have proved who we are, and are not believed.
 * An obstacle: it never came to a proof.
 */
export type Verdict = 'go-on' | 'again' | 'rejected' | Obstacle;

/** One scheme, spoken with one proxy by one request. */
export interface Talk extends Disposable {
  readonly way: Way;
  /** Whether the field that was given last proves who we are. */
  readonly hasProved: boolean;
  /** Whether the next field is meant to be the last: the proxy then has no reason to ask again. */
  readonly isLast: boolean;
  /** The next value of `Proxy-Authorization`, and the stream that it goes over. */
  next(message: AuthMessage, over: Sink): string | Obstacle | Promise<string | Obstacle>;
  judge(challenges: readonly Challenge[]): Verdict;
  /** The proxy has let the message through. The obstacle: it could not prove who it is. */
  accepted(headers: Headers): Obstacle | undefined | Promise<Obstacle | undefined>;
}
