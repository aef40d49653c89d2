import { setTimeout as wait } from 'node:timers/promises';
import { type Message, messagesIn } from '../support/http-messages.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';
import { until } from '../support/until.ts';
import { type Case, fillIn } from './cases.ts';
import { judge, type Outcome } from './judge.ts';
import type { Stage } from './stage.ts';

const RESPONSE_MS = 5_000;
/** For what follows the first response; `connectionClosed` allows as much. */
const SETTLE_MS = 2_000;
/** No byte for so long counts as the end: a case that forbids more responses needs a wait in which none comes. */
const QUIET_MS = 60;
const QUIET_MS_MAX = 3_000;

export async function play(one: Case, stage: Stage): Promise<Outcome> {
  stage.begin(one);
  const send = fillIn(one.send, stage.names);
  const thenSend = fillIn(one.thenSend ?? '', stage.names);
  const methods = methodsOf(send + (send.startsWith('CONNECT') ? '' : thenSend));
  using client = await rawClient(stage.clientPort);
  const responses = () => messagesIn(client.received, { kind: 'response', methods, ended: client.ending !== 'open' });
  const isAnswered = () => {
    const [first] = responses();
    return first !== undefined && (first.complete || isTunnel(first, methods));
  };

  client.send(send);
  if (one.halfCloseAfterSend === true) client.end();
  await within(client, one.waitMs ?? RESPONSE_MS, () => client.ending !== 'open' || (send.length > 0 && isAnswered()));
  if (one.thenSend !== undefined && client.ending === 'open') client.send(thenSend);
  const outcome = (): Outcome => {
    const all = responses();
    return {
      status: statusOf(all[0]),
      statuses: all.map(statusOf),
      ending: client.ending,
      response: client.text,
      responseHead: all[0]?.head ?? '',
      originText: stage.originText,
      originRequests: stage.seen.flatMap(({ received }) => messagesIn(received, { kind: 'request' })),
      originConcurrent: stage.origin.openMost,
      log: stage.log,
    };
  };
  // What must come may take a moment; `quiet` waits for what must not.
  const isRight = () => judge(one, outcome(), stage.names).length === 0;
  await until(isRight, 'the outcome is right', SETTLE_MS).catch(() => undefined);
  await quiet(client, stage);
  return outcome();
}

/** After every case a plain request and a tunnel must work as before. */
export async function isAlive(stage: Stage, credentials: string): Promise<string | undefined> {
  if (!stage.isRunning) return 'the proxy has ended';
  stage.begin(undefined);
  const at = `${stage.names.ORIGIN_HOST}:${stage.names.ORIGIN_PORT}`;
  try {
    using plain = await rawClient(stage.clientPort);
    plain.send(`GET http://${at}/alive HTTP/1.1\r\nHost: ${at}\r\n${credentials}\r\n`);
    await plain.until('\r\n\r\nok');
    using tunnel = await rawClient(stage.clientPort);
    tunnel.send(`CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n${credentials}\r\n`);
    await tunnel.until('\r\n\r\n');
    tunnel.send(`GET /alive HTTP/1.1\r\nHost: ${at}\r\n\r\n`);
    await tunnel.until('\r\n\r\nok');
    return undefined;
  } catch (error) {
    return `afterwards the proxy does not serve: ${error instanceof Error ? error.message : error}`;
  }
}

const statusOf = (response: Message | undefined): number => Number(response?.startLine.split(' ')[1] ?? 0);

const isTunnel = (response: Message, [method]: readonly string[]): boolean =>
  statusOf(response) === 101 || (method === 'CONNECT' && statusOf(response) < 300);

/** Methods of the requests that a case sends, as far as they are recognisable. */
const methodsOf = (sent: string): string[] =>
  [...sent.matchAll(/^([A-Z]+) \S.* HTTP\/\d/gm)].map(([, method]) => method ?? '');

/** Waits until `isTrue` holds; if it never does, the judge reports it. */
async function within(client: RawPeer, ms: number, isTrue: () => boolean): Promise<void> {
  await client.when(isTrue, 'outcome', ms).catch(() => undefined);
}

/** Waits until neither the client nor the origin receives bytes any more. */
async function quiet(client: RawPeer, stage: Stage): Promise<void> {
  const size = () => client.bytesReceived + stage.seen.reduce((sum, { bytesReceived }) => sum + bytesReceived, 0);
  const untilMs = performance.now() + QUIET_MS_MAX;
  for (let before = -1; before !== size() && performance.now() < untilMs; ) {
    before = size();
    await wait(QUIET_MS);
  }
}
