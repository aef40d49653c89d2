import { ProxyError } from '../../contracts/failure.ts';
import type { Connection } from '../../contracts/stages.ts';
import { formatHop } from '../../protocol/routes/proxy-url.ts';
import type { NextConnection, ResponseWriter, Reusability } from '../../upstream-auth/auth-response.ts';
import type { QuestionMethod } from '../../upstream-auth/proxy-auth-cache.ts';
import { PROXY_AUTH_REQUIRED } from './drain-response.ts';
import { type Occasion, type Question, QuestionConnection, type QuestionKind } from './question-connection.ts';

/** Questions of one request. NTLM needs three, and each mechanism and each method that fails takes two more. */
const QUESTIONS_MAX = 20;
/** Questions that get no response. The first may have been lost behind a 407; a secret in doubt is held back by then. */
const SILENCES_MAX = 4;

/**
 * Asks a proxy about us with empty requests that it answers itself, until it has let one pass, or until a body may be
 * sent. TRACE with `Max-Forwards: 0` (RFC 9110 §7.6.2) and HEAD ask for a host that does not exist; CONNECT for the
 * target's, where the others are not answered with 407: proxies may require authentication for some targets only, and no
 * target answers a CONNECT. A proxy that is silent about the host that does not exist, and has answered such a CONNECT
 * with 407, is asked with TRACE about the target. Where no method is answered so, nothing can be asked, and the request
 * itself shows what the proxy wants. Returns the connection on which the request goes next; owns it until then, and the
 * one that it is given.
 */
export async function askProxy(first: Connection, question: Question, occasion: Occasion): Promise<Connection> {
  const { hop, session, authContext } = question.upstreamProxy;
  const questions = new QuestionConnection(first, question, occasion.after);
  const isEnough = () => (occasion.why === 'body' ? session.canSendBody() : session.hasPassed);
  try {
    for (let asked = 0; !(await isEnough()); asked++) {
      if (asked === QUESTIONS_MAX) {
        throw new ProxyError(
          'upstream_protocol',
          `${formatHop(hop)} still asks for authentication after ${asked} rounds`,
        );
      }
      const known = authContext.known.questionMethod;
      if (known === 'none' || questions.silences === SILENCES_MAX) break;
      if (known !== 'untried') await askByKnownMethod(known, questions, question);
      else if (!(await tryMethod(questions.untried, questions, question, occasion))) break;
    }
    return questions.connection;
  } catch (error) {
    questions[Symbol.dispose]();
    throw error;
  }
}

/** Asks with a method that the proxy has responded to with 407 before. */
async function askByKnownMethod(kind: QuestionKind, questions: QuestionConnection, question: Question): Promise<void> {
  const { session } = question.upstreamProxy;
  // A tunnel opens to the target, whose silence may be the cause of a proxy's.
  const writer: ResponseWriter = kind === 'CONNECT' ? 'proxy' : 'question';
  const response = await questions.ask(kind, 'all');
  if (typeof response === 'string') {
    await session.onNoResponse(writer);
    await questions.move('fresh-connection');
    return;
  }
  const reusability = await questions.finish(response);
  const { head } = response.received;
  if (head.status === PROXY_AUTH_REQUIRED) return await questions.move(await session.onRefused(head, reusability));
  // A HEAD for a host that does not exist has passed with any status but a refusal: the proxy then looked for the host.
  const hasPassed = kind === 'HEAD' && head.status !== 401 && head.status !== 403;
  await session.onPassed(hasPassed ? { ...head, status: 200 } : head, writer);
  if (reusability !== 'open') await session.onConnectionReplaced();
  await questions.move(nextAfter(reusability));
}

const nextAfter = (reusability: Reusability): NextConnection =>
  reusability === 'open' ? 'same-connection' : 'fresh-connection';

/** Asks without a proof, to learn whether the proxy responds to this method with 407. Returns false when there is no other. */
async function tryMethod(
  method: QuestionMethod,
  questions: QuestionConnection,
  question: Question,
  { why }: Occasion,
): Promise<boolean> {
  const { session, authContext } = question.upstreamProxy;
  const response = await questions.ask(method, 'none');
  if (typeof response === 'string') {
    await questions.move('fresh-connection');
    if (response === 'closed' && questions.wasClosedBehindChallenge) return true;
    // It may be looking the name up, for rules that judge addresses before it asks: then a target is needed to ask about.
    if (response === 'silent' && method === 'TRACE') return questions.askAboutTarget();
    return questions.tryNext(why);
  }
  const reusability = await questions.finish(response);
  const { head } = response.received;
  if (head.status === PROXY_AUTH_REQUIRED) {
    authContext.known.questionMethod = questions.isAboutTarget ? 'TRACE of the target' : method;
    // A login that was chosen before goes on with the next question; in doubt over another connection, since the proxy
    // may close this one behind its 407, and a proof would be lost in it.
    const wasChosen = session.hasIdentified && !session.isUnrequested;
    const next = wasChosen ? nextAfter(reusability) : await session.onRefused(head, reusability);
    await questions.move(why === 'doubt' ? 'fresh-connection' : next);
    return true;
  }
  await questions.move(nextAfter(reusability));
  // Nothing says that this proxy requires authentication at all: what it has served shows that it does not. One that
  // serves a HEAD for a host that does not exist serves anything.
  const hasServed = head.status < 400 && (method === 'HEAD' || why === 'body');
  const isSettled = authContext.known.requiresAuth !== 'yes' && (hasServed || (why === 'body' && method !== 'TRACE'));
  if (!isSettled && questions.tryNext(why)) return true;
  if (!session.hasIdentified) await session.onPassed(head, 'question');
  return false;
}
