import type { DialScope, OriginReply, Outgoing } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { Headers } from '../core/request.ts';
import type { Connection } from '../core/stages.ts';
import type { HeadLimits } from '../protocol/head-buffer.ts';
import { formatHop } from '../protocol/proxy-url.ts';
import type { Standing } from './auth/introduction.ts';
import type { AuthMessage } from './auth/talk.ts';
import { type Answered, ASKS_WHO_WE_ARE, passOver, shakeHands } from './handshake.ts';
import type { ProxyHealth } from './health.ts';
import { type Line, lineOf, type Parent } from './line.ts';
import { Patience } from './patience.ts';
import { type HeadFaults, ORIGIN_FAULTS, PARENT_FAULTS, type ReadHead, readHead } from './read-head.ts';
import { receivedReply } from './received-reply.ts';
import { withEarly } from './with-early.ts';
import { absoluteForm, originForm, writeProbe, writeRequest } from './write-request.ts';

/** Interim answers before the final one; an origin that sends more keeps the client waiting for nothing. */
const INTERIM_MAX = 32;
/** Questions before a body is sent. A proxy needs three for NTLM, and each way that fails takes two more. */
const PROBES_MAX = 16;
const NOTHING = Buffer.alloc(0);

/** Of a proxy that reads the request itself: fields that are too many were made by the origin behind it. */
const READER_FAULTS: HeadFaults = { ...PARENT_FAULTS, tooLarge: ORIGIN_FAULTS.tooLarge };

export interface TalkOptions {
  readonly health: ProxyHealth;
  readonly limits: HeadLimits;
  readonly headMs: number;
  /** Takes a connection that may serve another request. */
  readonly keep: (connection: Connection, standing: Standing) => void;
  /** Opens another connection to the same proxy. */
  readonly reach: () => Promise<Connection>;
}

interface Said extends Answered {
  readonly sent: Promise<number>;
}

/** One request over one line, and what it takes to be let in by a proxy. Owns the connection until it is part of a reply. */
export async function exchangeOver(
  line: Line,
  outgoing: Outgoing,
  within: DialScope,
  options: TalkOptions,
): Promise<OriginReply> {
  const { parent } = line;
  const reply = (connection: Connection, { answer, sent }: Said): OriginReply => {
    const standing = parent?.introduction.standing ?? 'free';
    const keep = () => options.keep(connection, standing);
    return receivedReply({ connection, route: line.route, sent, keep }, outgoing, answer);
  };
  const say = (on: Connection): Promise<Said> => sayOver(on, line, outgoing, within, options);
  if (parent !== undefined && outgoing.body === undefined) {
    const { connection, said } = await shakeHands(line.connection, {
      introduction: parent.introduction,
      reach: options.reach,
      say,
      patience: () => patienceOf(line, within, options),
    });
    return await owning(connection, async () => reply(connection, said));
  }
  return await owning(line.connection, async () => {
    const said = await say(line.connection);
    if (parent !== undefined) await checkLetIn(parent, said);
    return reply(line.connection, said);
  });
}

/** A body goes out once: whoever asks only then has it, and cannot use it. */
async function checkLetIn({ hop, introduction }: Parent, { answer: { head }, sent }: Said): Promise<void> {
  if (head.status !== ASKS_WHO_WE_ARE) return await introduction.accepted(head);
  sent.catch(() => undefined);
  await introduction.refused(head, 'closed');
  const told = `${formatHop(hop)} asked who we are when the body was on its way already; send the request again.`;
  throw new ProxyError('proxy_auth_failed', told, { told });
}

/**
 * Asks a proxy about us, with empty messages that it answers itself, until the next one may carry a body. Gives the line
 * on which that is so. Owns the connection.
 */
export async function askFirst(line: Line, outgoing: Outgoing, within: DialScope, options: TalkOptions): Promise<Line> {
  const { parent } = line;
  let { connection } = line;
  if (parent === undefined) return line;
  const { visit, hop, introduction } = parent;
  const goOn = async (on: 'same-connection' | 'fresh-connection') => {
    if (on === 'same-connection') connection = withEarly(connection, NOTHING);
    else {
      connection[Symbol.dispose]();
      connection = await options.reach();
    }
  };
  try {
    for (let asked = 0; !(await introduction.mayCarryBody()); asked++) {
      if (asked === PROBES_MAX) throw new ProxyError('parent_protocol', `${formatHop(hop)} asks on who we are`);
      const method = visit.probe;
      const said = await probe(connection, method, line, outgoing, within, options);
      const { head } = said.answer;
      const fit = await passOver(connection, said, () => patienceOf(line, within, options));
      if (head.status === ASKS_WHO_WE_ARE) {
        await goOn(await introduction.refused(head, fit));
        continue;
      }
      // Some proxies refuse TRACE whoever asks: that says nothing about us.
      const isNoAnswer = method === 'TRACE' && head.status >= 400;
      if (isNoAnswer) {
        visit.hasNoTrace();
        await introduction.restart();
        await goOn('fresh-connection');
        continue;
      }
      await introduction.accepted(head);
      if (fit !== 'open') await introduction.moved();
      await goOn(fit === 'open' ? 'same-connection' : 'fresh-connection');
    }
    return lineOf(line.route, connection, parent, line.epoch);
  } catch (error) {
    connection[Symbol.dispose]();
    throw error;
  }
}

async function probe(
  connection: Connection,
  method: 'TRACE' | 'HEAD',
  line: Line,
  outgoing: Outgoing,
  within: DialScope,
  options: TalkOptions,
): Promise<Answered> {
  const target = absoluteForm(outgoing);
  const credentials = await fieldsFor(line, { method, uri: target, body: 'none' }, connection);
  using patience = patienceOf(line, within, options);
  writeProbe(connection, method, target, outgoing, credentials, within);
  patience.begin();
  return { answer: await finalHead(connection, line, within, options, patience, () => undefined), method };
}

async function sayOver(
  connection: Connection,
  line: Line,
  outgoing: Outgoing,
  within: DialScope,
  options: TalkOptions,
): Promise<Said> {
  const { method, body } = outgoing;
  const target = line.parent === undefined ? originForm(outgoing.path) : absoluteForm(outgoing);
  const message: AuthMessage = { method, uri: target, body: body === undefined ? 'none' : 'some' };
  const credentials = await fieldsFor(line, message, connection);
  using patience = patienceOf(line, within, options);
  const sent = writeRequest(connection, target, outgoing, credentials, within, patience);
  const answer = await finalHead(connection, line, within, options, patience, (head) => {
    outgoing.inform(head);
    if (body !== undefined && !body.complete) patience.pause();
  });
  return { answer, method, sent };
}

const NO_FIELDS: Headers = [];
const fieldsFor = async ({ parent }: Line, message: AuthMessage, connection: Connection): Promise<Headers> =>
  parent === undefined ? NO_FIELDS : await parent.introduction.fields(message, connection.wire.stream);

async function finalHead(
  connection: Connection,
  { route, parent }: Line,
  { id, tap }: DialScope,
  { health, limits }: TalkOptions,
  patience: Patience,
  inform: (head: ReadHead['head']) => void,
): Promise<ReadHead> {
  const faults = parent === undefined ? ORIGIN_FAULTS : READER_FAULTS;
  let rest = connection.early;
  for (let seen = 0; seen <= INTERIM_MAX; seen++) {
    const read = await readHead(connection.wire, rest, limits, faults, patience);
    tap?.({ type: 'wire', id, hop: 'upstream', sent: 'by-peer', head: read.text });
    if (read.head.status >= 200 || read.head.status === 101) {
      // Not before: one that says no more than 100 is of no use, and another way may be open.
      if (route.via === 'proxies') health.answered(route.hops);
      return read;
    }
    inform(read.head);
    ({ rest } = read);
  }
  throw new ProxyError('origin_protocol', `more than ${INTERIM_MAX} interim answers`);
}

const patienceOf = ({ parent }: Line, { signal }: DialScope, { headMs }: TalkOptions): Patience =>
  new Patience(signal, headMs, parent === undefined ? 'origin_silent' : 'parent_silent');

/** Disposes the connection when nothing comes of it. */
async function owning<T>(connection: Connection, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    connection[Symbol.dispose]();
    throw error;
  }
}
