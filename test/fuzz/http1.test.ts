/**
 * Mutated bytes on both sides of the proxy. With all of them a request ends in one record, no failure is `internal`, the
 * origin receives well-formed heads only, and the next request is served.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCases } from '../conformance/cases.ts';
import { isLong } from '../support/bulk.ts';
import { isInside, noNamespace, runInside } from '../support/namespace.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';

const ROUNDS = isLong ? 50_000 : 3_000;
const AT_ONCE = 150;
const SEED = Number(process.env.VIADUCT_FUZZ_SEED ?? 1);

/** Pieces on which parsers disagree. */
const SPICE = [
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  '\0',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '\x7f',
  '\xff',
  '0',
  '-1',
  'chunked',
  '%00',
];

class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = (seed * 2_654_435_761) >>> 0;
  }
  below(max: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % max;
  }
  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  }
}

/** One to four small changes. */
function mutated(text: string, others: readonly string[], dice: Dice): string {
  let bytes = text;
  for (let left = 1 + dice.below(4); left > 0; left--) {
    const at = dice.below(bytes.length + 1);
    const to = Math.min(bytes.length, at + 1 + dice.below(6));
    const kind = dice.below(6);
    if (kind === 0) bytes = bytes.slice(0, at) + dice.pick(SPICE) + bytes.slice(at);
    else if (kind === 1) bytes = bytes.slice(0, at) + bytes.slice(to);
    else if (kind === 2) bytes = bytes.slice(0, at) + String.fromCharCode(dice.below(256)) + bytes.slice(at + 1);
    else if (kind === 3) bytes = bytes.slice(0, to) + bytes.slice(at);
    else if (kind === 4) bytes = bytes.slice(0, at);
    else bytes = bytes.slice(0, at) + dice.pick(others).slice(dice.below(40));
  }
  return bytes;
}

function tests(): void {
  test(
    `${ROUNDS} conversations of mutated bytes`,
    { timeout: 30 * 60_000 },
    leavesNothing(async () => {
      const dice = new Dice(SEED);
      const cases = [...readCases('hostile.json'), ...readCases('hostile-more.json')].filter(
        ({ send }) => send.length < 3_000 && !/\{REPEAT/.test(send),
      );
      const replies = cases.flatMap(({ originReply = '' }) => (/^$|\{REPEAT/.test(originReply) ? [] : [originReply]));
      let reply = ok('ok');
      await using origin = await RawOrigin.listen((peer) => {
        peer.socket.on('data', () => {
          peer.send(reply);
          if (dice.below(3) === 0) peer.end();
        });
        peer.socket.on('end', () => peer.end());
      });
      const fill = (text: string) =>
        text.replaceAll('{ORIGIN_HOST}', '127.0.0.1').replaceAll('{ORIGIN_PORT}', String(origin.port));
      const sends = cases.map(({ send }) => fill(send));
      // Only the origin is ever dialled, whichever address comes out.
      const guard = { deny: ['0.0.0.0/0', '::/0'], allow: [`127.0.0.1:${origin.port}`] };
      await using proxy = await ProxyUnderTest.start(
        {
          guard,
          timeouts: {
            connect: '1s',
            head: '300ms',
            requestHead: '300ms',
            requestBody: '300ms',
            idle: '300ms',
            linger: '100ms',
          },
        },
        { lookup: () => Promise.resolve(['127.0.0.1']) },
      );

      for (let round = 0; round < ROUNDS; round += AT_ONCE) {
        reply = dice.below(2) === 0 ? ok('ok') : mutated(dice.pick(replies), replies, dice);
        const batch = Array.from({ length: AT_ONCE }, () => mutated(dice.pick(sends), sends, dice));
        await Promise.all(batch.map((bytes) => converse(proxy, bytes, dice)));
        check(proxy, origin, `seed ${SEED}, round ${round}`);
        for (const { socket } of origin.connections.splice(0)) socket.destroy();
      }
      reply = ok('ok');
      using client = await proxy.client();
      client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
      await client.until('\r\n\r\nok');
    }),
  );
}

async function converse(proxy: ProxyUnderTest, bytes: string, dice: Dice): Promise<void> {
  using client = await proxy.client();
  await client.sendCut(Buffer.from(bytes, 'latin1'), dice.below(bytes.length + 1));
  // The proxy's timeouts end a client that stays, but for keep-alive.
  if (dice.below(2) === 0) client.end();
  await client.when(({ bytesReceived, ending }) => bytesReceived > 0 || ending !== 'open', 'answer or end');
  const end = client.text.indexOf('\r\n\r\n');
  if (end >= 0) assert.match(client.text.slice(0, end + 2), WELL_FORMED_ANSWER);
}

/** A head as RFC 9112 has it, octet by octet. */
const WELL_FORMED =
  /^(?:[!#$%&'*+\-.^_`|~\w]+) [\x21-\x7e]+ HTTP\/1\.1\r\n(?:[!#$%&'*+\-.^_`|~\w]+: [\t\x20-\x7e\x80-\xff]*\r\n)+$/;

/** However its origin wrote it. */
const WELL_FORMED_ANSWER =
  /^HTTP\/1\.[01] [1-5]\d\d [\t\x20-\x7e\x80-\xff]*\r\n(?:[!#$%&'*+\-.^_`|~\w]+: [\t\x20-\x7e\x80-\xff]*\r\n)*$/;

function check(proxy: ProxyUnderTest, origin: RawOrigin, where: string): void {
  const faults = proxy.records.filter(({ failure }) => failure === 'internal');
  assert.deepEqual(faults, [], where);
  const tunnels = new Set(proxy.records.filter(({ kind }) => kind === 'tunnel').map(({ bytesUp }) => bytesUp));
  for (const { text } of origin.connections) {
    const head = text.slice(0, text.indexOf('\r\n\r\n') + 2);
    // Bytes through a tunnel are the client's own.
    if (/^Via: 1\.[01] viaduct-/m.test(head)) assert.match(head, WELL_FORMED, where);
    else assert.ok(text === '' || tunnels.size > 0, where);
  }
  proxy.events.length = 0;
  proxy.records.length = 0;
}

// A mutated target may be any address: only in a namespace without a network.
if (isInside()) tests();
else {
  test(
    `${ROUNDS} conversations of mutated bytes, where nothing can be reached`,
    { skip: noNamespace(), timeout: 30 * 60_000 },
    () => runInside(import.meta.url),
  );
}
