import type { Framing } from '../core/request.ts';
import type { Connection } from '../core/stages.ts';
import { BodyReader } from '../protocol/body-reader.ts';
import { responseFraming } from '../protocol/framing.ts';
import { tokensOf } from '../protocol/header-list.ts';
import type { ResponseHead } from '../protocol/response-head.ts';
import type { Introduction } from './auth/introduction.ts';
import type { Patience } from './patience.ts';
import type { ReadHead } from './read-head.ts';
import { withEarly } from './with-early.ts';

/** The page of a 407, which nobody sees. A longer one costs more than a new connection. */
const PAGE_BYTES_MAX = 64 * 1024;
const NOTHING = Buffer.alloc(0);

/** 407: the proxy wants to know who asks (RFC 9110 §15.5.8). 401 is the origin's, and none of our business. */
export const ASKS_WHO_WE_ARE = 407;

/** What was answered to a message. */
export interface Answered {
  readonly answer: ReadHead;
  /** Of the message: it decides whether the answer has a body. */
  readonly method: string;
}

export interface Handshake<A extends Answered> {
  readonly introduction: Introduction;
  /** Opens another connection to the same proxy. */
  readonly reach: () => Promise<Connection>;
  /** Sends the message with what there is to say about us, and reads the head of its final answer. */
  readonly say: (connection: Connection) => Promise<A>;
  /** For the page of a 407. */
  readonly patience: () => Patience;
}

/**
 * Says it until the proxy no longer asks who we are: on the same connection where the scheme wants that, else on a new
 * one. Owns the connections that it opens and the first one, until it returns one of them.
 */
export async function shakeHands<A extends Answered>(
  first: Connection,
  { introduction, reach, say, patience }: Handshake<A>,
): Promise<{ readonly connection: Connection; readonly said: A }> {
  let connection = first;
  try {
    for (;;) {
      const said = await say(connection);
      const { head } = said.answer;
      if (head.status !== ASKS_WHO_WE_ARE) {
        await introduction.accepted(head);
        return { connection, said };
      }
      const fit = await passOver(connection, said, patience);
      const next = await introduction.refused(head, fit);
      if (next === 'same-connection') connection = withEarly(connection, NOTHING);
      else {
        connection[Symbol.dispose]();
        connection = await reach();
      }
    }
  } catch (error) {
    connection[Symbol.dispose]();
    throw error;
  }
}

/** Whether another message may follow an answer on its connection. */
export type Fit = 'open' | 'doubtful' | 'closed';

/** As far as the head tells. `doubtful`: HTTP/1.0 that does not say that it stays; proxies that know NTLM do all the same. */
export function fitOf({ headers, version }: ResponseHead, framing: Framing): Fit {
  const tokens = ['connection', 'proxy-connection'].flatMap((name) => tokensOf(headers, name));
  if (framing.kind === 'until-close' || tokens.includes('close')) return 'closed';
  return version === '1.0' && !tokens.includes('keep-alive') ? 'doubtful' : 'open';
}

/** Reads an answer to its end, and says whether another message may follow on the connection. */
export async function passOver(
  connection: Connection,
  { answer: { head, rest }, method }: Answered,
  patience: () => Patience,
): Promise<Fit> {
  const framing = responseFraming(head.headers, head.status, method, head.version);
  const fit = fitOf(head, framing);
  if (fit === 'closed' || framing.kind === 'none') return rest.length === 0 ? fit : 'closed';
  using limit = patience();
  limit.begin();
  const isWhole = await readWhole(connection, framing, rest, limit);
  return isWhole ? fit : 'closed';
}

/** Resolves with whether the body came to its end, and nothing behind it. Rejects when the patience ends. */
function readWhole(
  { wire }: Connection,
  framing: Exclude<Framing, { kind: 'none' }>,
  rest: Buffer,
  patience: Patience,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    let behind: Buffer = NOTHING;
    const finish = (settle: () => void) => {
      patience.hear(undefined);
      wire.deliverTo(undefined);
      settle();
    };
    const body = new BodyReader(wire, framing, rest, {
      done(more) {
        behind = more;
      },
      truncated: 'parent_closed',
      broken: 'parent_closed',
      malformed: 'parent_protocol',
    });
    patience.hear((reason) => {
      body.deliverTo(undefined);
      finish(() => reject(reason));
    });
    body.deliverTo({
      bytes(chunk) {
        bytes += chunk.length;
        if (bytes <= PAGE_BYTES_MAX) return;
        body.deliverTo(undefined);
        finish(() => resolve(false));
      },
      end: () => finish(() => resolve(behind.length === 0)),
      failed: () => finish(() => resolve(false)),
    });
  });
}
