import { type Challenge, parseChallenges } from '../protocol/http-auth/challenge.ts';
import { valuesOf } from '../protocol/http1/header-list.ts';
import type { ResponseHeadText } from '../protocol/http1/response-head.ts';
import type { Doubt } from './login-attempt.ts';

/**
 * Who may have written a response. `proxy`: only the proxy, but a target may have been the cause (CONNECT).
 * `proxy-or-target`: either (a plain request). `question`: the proxy, to a question that concerns no target.
 */
export type ResponseWriter = 'proxy' | 'proxy-or-target' | 'question';

/**
 * Whether another message may follow a response on its connection. `doubtful`: HTTP/1.0 that does not promise it; proxies
 * that know NTLM keep the connection all the same.
 */
export type Reusability = 'open' | 'doubtful' | 'closed';

/** Over which connection the next message goes: the one on which the 407 came, or a new one. */
export type NextConnection = 'same-connection' | 'fresh-connection';

export const challengesIn = ({ headers }: ResponseHeadText): readonly Challenge[] =>
  parseChallenges(valuesOf(headers, 'proxy-authenticate'));

/**
 * Whether a status accepts the proof for certain: others may answer a wrong password, or come from the target. What a
 * plain request gets with a secret that was right before is the target's, but for the statuses that proxies refuse with.
 */
export function acceptsProof(status: number, writer: ResponseWriter, secret: 'accepted-before' | 'new'): boolean {
  if (writer === 'proxy-or-target' && secret === 'accepted-before')
    return status < 500 && status !== 401 && status !== 403;
  return (status >= 200 && status < 300) || status === 304 || status === 101;
}

/** What a status other than 407 says that accepts nothing. No target answers a CONNECT: a 401 there is about us. */
export function doubtOf(status: number, writer: ResponseWriter): Doubt {
  if (status === 401 && writer !== 'proxy-or-target') return 'question-silence';
  return writer === 'question' ? 'question-status' : 'status';
}
