import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Notes, wirePair } from '../../../test/support/wire-pair.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { Framing } from '../../contracts/request.ts';
import type { Wire } from '../../contracts/wire.ts';
import { BodyReader } from './body-reader.ts';

class Reading extends Notes {
  readonly rests: string[] = [];
  readonly codes: string[] = [];
  override failed(error: Error): void {
    if (error instanceof ProxyError) this.codes.push(error.code);
    super.failed(error);
  }
}

function read(wire: Wire, framing: Exclude<Framing, { kind: 'none' }>, early = ''): [BodyReader, Reading] {
  const notes = new Reading();
  const reader = new BodyReader(wire, framing, Buffer.from(early, 'latin1'), {
    done: (rest) => notes.rests.push(rest.toString('latin1')),
    truncated: 'bad_request',
    broken: 'client_gone',
    malformed: 'not_implemented',
  });
  return [reader, notes];
}

test('a body with a length is read to its last byte, and the bytes behind it are left', async () => {
  await using pair = await wirePair();
  const [reader, notes] = read(pair.wire, { kind: 'length', bytes: 10 }, 'hello');
  reader.deliverTo(notes);
  pair.peer.send('worldGET /next');
  await notes.when(({ events }) => events.length > 0);
  assert.deepEqual([notes.text, notes.rests, notes.events], ['helloworld', ['GET /next'], ['end']]);
});

test('a body that arrived completely behind its head needs no read', async () => {
  await using pair = await wirePair();
  const [reader, notes] = read(pair.wire, { kind: 'length', bytes: 2 }, 'okrest');
  reader.deliverTo(notes);
  assert.deepEqual([notes.text, notes.rests, notes.events], ['ok', ['rest'], ['end']]);
});

test('a body that arrived completely can be taken as a whole, once, and the bytes behind it are left', async () => {
  await using pair = await wirePair();
  for (const [bytes, early, whole, rest] of [
    [2, 'okrest', 'ok', 'rest'],
    [2, 'ok', 'ok', ''],
    [0, '', '', ''],
  ] as const) {
    const [reader, notes] = read(pair.wire, { kind: 'length', bytes }, early);
    assert.equal(reader.takeWhole()?.toString('latin1'), whole);
    assert.deepEqual(notes.rests, [rest]);
    assert.equal(reader.takeWhole(), undefined);
    reader.deliverTo(notes);
    assert.deepEqual([notes.text, notes.rests, notes.events], ['', [rest], []]);
  }
});

test('a body whose end has not arrived is not taken as a whole, and is read as any other', async () => {
  for (const framing of [{ kind: 'length', bytes: 3 }, { kind: 'chunked' }, { kind: 'until-close' }] as const) {
    await using pair = await wirePair();
    const [reader, notes] = read(pair.wire, framing, framing.kind === 'chunked' ? '2\r\nok\r\n' : 'ok');
    assert.equal(reader.takeWhole(), undefined);
    reader.deliverTo(notes);
    assert.equal(notes.text, 'ok');
  }
});

test('a body of no bytes ends at once', async () => {
  await using pair = await wirePair();
  const [reader, notes] = read(pair.wire, { kind: 'length', bytes: 0 }, 'rest');
  reader.deliverTo(notes);
  assert.deepEqual([notes.text, notes.rests, notes.events], ['', ['rest'], ['end']]);
});

test('chunks are decoded, with trailers', async () => {
  await using pair = await wirePair();
  const [reader, notes] = read(pair.wire, { kind: 'chunked' }, '2\r\nok\r\n');
  reader.deliverTo(notes);
  pair.peer.send('3\r\nfun\r\n0\r\nX-T: 1\r\n\r\nnext');
  await notes.when(({ events }) => events.length > 0);
  assert.deepEqual([notes.text, notes.rests, reader.trailers], ['okfun', ['next'], [['X-T', '1']]]);
});

test('a body until the end of the connection ends with it', async () => {
  await using pair = await wirePair();
  const [reader, notes] = read(pair.wire, { kind: 'until-close' }, 'he');
  reader.deliverTo(notes);
  pair.peer.send('llo').end();
  await notes.when(({ events }) => events.length > 0);
  assert.deepEqual([notes.text, notes.events, notes.rests], ['hello', ['end'], ['']]);
});

for (const framing of [{ kind: 'length', bytes: 10 }, { kind: 'chunked' }] as const) {
  test(`an end in the middle of a body by ${framing.kind} is one failure, a reset another`, async () => {
    for (const [cut, code] of [
      ['end', 'bad_request'],
      ['reset', 'client_gone'],
    ] as const) {
      await using pair = await wirePair();
      const [reader, notes] = read(pair.wire, framing, framing.kind === 'chunked' ? '5\r\nhel' : 'hel');
      reader.deliverTo(notes);
      await notes.when(({ text }) => text === 'hel');
      pair.peer[cut]();
      await notes.when(({ events }) => events.length > 0);
      assert.deepEqual([notes.codes, notes.rests], [[code], []]);
    }
  });
}

test('a reset is never the end of a body, not even of one until the end of the connection', async () => {
  await using pair = await wirePair();
  const [reader, notes] = read(pair.wire, { kind: 'until-close' }, 'hel');
  reader.deliverTo(notes);
  pair.peer.reset();
  await notes.when(({ events }) => events.length > 0);
  assert.deepEqual(notes.codes, ['client_gone']);
});

test('a malformed coding fails once, after the valid bytes', async () => {
  await using pair = await wirePair();
  const [reader, notes] = read(pair.wire, { kind: 'chunked' }, '2\r\nok\r\n');
  reader.deliverTo(notes);
  pair.peer.send('XX\r\n2\r\nno\r\n');
  await notes.when(({ events }) => events.length > 0);
  pair.peer.end();
  assert.deepEqual([notes.text, notes.codes], ['ok', ['not_implemented']]);
});

/** Bytes that must stay unread would be read within it. */
const NOTHING_READ_MS = 20;

test('nothing is read before there is a receiver', async () => {
  await using pair = await wirePair();
  read(pair.wire, { kind: 'length', bytes: 100_000 });
  pair.peer.send('x'.repeat(100_000));
  await wait(NOTHING_READ_MS);
  assert.equal(pair.wire.stream.bytesRead, 0);
});
