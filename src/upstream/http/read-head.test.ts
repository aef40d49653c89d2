import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wirePair } from '../../../test/support/wire-pair.ts';
import { ProxyError } from '../../contracts/failure.ts';
import { HEAD_LIMITS } from '../../protocol/http1/head-buffer.ts';
import { systemClock } from '../../util/clock.ts';
import { ResponseTimer } from '../response-timer.ts';
import { ORIGIN_FAULTS, readHead } from './read-head.ts';

const patience = (signal = new AbortController().signal): ResponseTimer =>
  new ResponseTimer({ signal, clock: systemClock }, 5_000);
const NOTHING = Buffer.alloc(0);

test('reads one head, beginning with what is there already, and gives back what follows', async () => {
  await using pair = await wirePair();
  const reading = readHead(pair.wire, Buffer.from('HTTP/1.1 200 '), HEAD_LIMITS, ORIGIN_FAULTS, patience());
  pair.peer.send('OK\r\nA: 1\r\n\r\nbody');
  const { head, rest, text } = await reading;
  assert.deepEqual(head, { version: '1.1', status: 200, reason: 'OK', headers: [['A', '1']] });
  assert.deepEqual([rest.toString(), text], ['body', 'HTTP/1.1 200 OK\r\nA: 1']);
});

const FAULTS: readonly (readonly [what: string, sent: string, end: 'end' | 'reset' | undefined, code: string])[] = [
  ['an end before a byte', '', 'end', 'reset_before_head'],
  ['a reset before a byte', '', 'reset', 'reset_before_head'],
  ['an end inside the head', 'HTTP/1.1 200 OK\r\nA', 'end', 'origin_protocol'],
  ['a status line that is none, at once', 'HELLO\r\n', undefined, 'origin_protocol'],
  ['a status line that is none and ends in a bare LF, at once', 'HELLO\n', undefined, 'origin_protocol'],
  ['an empty line, at once', '\n', undefined, 'origin_protocol'],
  ['a line that never ends', `HTTP/1.1 200 ${'O'.repeat(20_000)}`, undefined, 'origin_head_too_large'],
  [
    'a head that never ends',
    `HTTP/1.1 200 OK\r\n${`A: ${'a'.repeat(1000)}\r\n`.repeat(70)}`,
    undefined,
    'origin_head_too_large',
  ],
];
for (const [what, sent, end, code] of FAULTS) {
  test(`${what} is ${code}`, async () => {
    await using pair = await wirePair();
    const reading = readHead(pair.wire, NOTHING, HEAD_LIMITS, ORIGIN_FAULTS, patience());
    pair.peer.send(sent);
    if (end !== undefined) pair.peer[end]();
    await assert.rejects(reading, (error) => error instanceof ProxyError && error.code === code);
  });
}

test('an abort ends the reading with its reason, and leaves the wire to the next reader', async () => {
  await using pair = await wirePair();
  const abort = new AbortController();
  const reading = readHead(pair.wire, NOTHING, HEAD_LIMITS, ORIGIN_FAULTS, patience(abort.signal));
  const reason = new ProxyError('origin_timeout', 'test');
  abort.abort(reason);
  await assert.rejects(reading, (error) => error === reason);
  const again = readHead(pair.wire, NOTHING, HEAD_LIMITS, ORIGIN_FAULTS, patience());
  pair.peer.send('HTTP/1.1 204 No Content\r\n\r\n');
  assert.equal((await again).head.status, 204);
});

test('a response that had to be repaired says that it is the last one, and so does the one behind an interim one', async () => {
  await using pair = await wirePair();
  const read = (early: Buffer) => readHead(pair.wire, early, HEAD_LIMITS, ORIGIN_FAULTS, patience());
  pair.peer.send('HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\r\nA: 1\r\n\r\n');
  const interim = await read(NOTHING);
  assert.deepEqual([interim.head.status, interim.head.headers.at(-1)], [103, ['Connection', 'close']]);
  const { head } = await read(interim.rest);
  assert.deepEqual(head.headers, [
    ['A', '1'],
    ['Connection', 'close'],
  ]);
});
