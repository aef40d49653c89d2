import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Notes, wirePair } from '../../test/support/wire-pair.ts';
import { ProxyError } from '../core/failure.ts';
import type { Framing } from '../core/request.ts';
import type { Wire } from '../core/source.ts';
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

test('a length is read to its last byte, and what follows is not the body', async () => {
  await using pair = await wirePair();
  const [reader, notes] = read(pair.wire, { kind: 'length', bytes: 10 }, 'hello');
  reader.deliverTo(notes);
  pair.peer.send('worldGET /next');
  await notes.when(({ told }) => told.length > 0);
  assert.deepEqual([notes.text, notes.rests, notes.told], ['helloworld', ['GET /next'], ['end']]);
});

test('a body that came whole behind its head needs no read', async () => {
  await using pair = await wirePair();
  const [reader, notes] = read(pair.wire, { kind: 'length', bytes: 2 }, 'okrest');
  reader.deliverTo(notes);
  assert.deepEqual([notes.text, notes.rests, notes.told], ['ok', ['rest'], ['end']]);
});

test('a body of no bytes ends at once', async () => {
  await using pair = await wirePair();
  const [reader, notes] = read(pair.wire, { kind: 'length', bytes: 0 }, 'rest');
  reader.deliverTo(notes);
  assert.deepEqual([notes.text, notes.rests, notes.told], ['', ['rest'], ['end']]);
});

test('chunks come out decoded, with trailers', async () => {
  await using pair = await wirePair();
  const [reader, notes] = read(pair.wire, { kind: 'chunked' }, '2\r\nok\r\n');
  reader.deliverTo(notes);
  pair.peer.send('3\r\nfun\r\n0\r\nX-T: 1\r\n\r\nnext');
  await notes.when(({ told }) => told.length > 0);
  assert.deepEqual([notes.text, notes.rests, reader.trailers], ['okfun', ['next'], [['X-T', '1']]]);
});

test('until the end of the connection, the end is the end', async () => {
  await using pair = await wirePair();
  const [reader, notes] = read(pair.wire, { kind: 'until-close' }, 'he');
  reader.deliverTo(notes);
  pair.peer.send('llo').end();
  await notes.when(({ told }) => told.length > 0);
  assert.deepEqual([notes.text, notes.told, notes.rests], ['hello', ['end'], ['']]);
});

for (const framing of [{ kind: 'length', bytes: 10 }, { kind: 'chunked' }] as const) {
  test(`an end in the middle of a body by ${framing.kind} is a failure of its own, a reset another`, async () => {
    for (const [cut, code] of [
      ['end', 'bad_request'],
      ['reset', 'client_gone'],
    ] as const) {
      await using pair = await wirePair();
      const [reader, notes] = read(pair.wire, framing, framing.kind === 'chunked' ? '5\r\nhel' : 'hel');
      reader.deliverTo(notes);
      await notes.when(({ text }) => text === 'hel');
      pair.peer[cut]();
      await notes.when(({ told }) => told.length > 0);
      assert.deepEqual([notes.codes, notes.rests], [[code], []]);
    }
  });
}

test('a reset is never the end of a body, not even of one until the end of the connection', async () => {
  await using pair = await wirePair();
  const [reader, notes] = read(pair.wire, { kind: 'until-close' }, 'hel');
  reader.deliverTo(notes);
  pair.peer.reset();
  await notes.when(({ told }) => told.length > 0);
  assert.deepEqual(notes.codes, ['client_gone']);
});

test('a broken coding fails after the good bytes, once', async () => {
  await using pair = await wirePair();
  const [reader, notes] = read(pair.wire, { kind: 'chunked' }, '2\r\nok\r\n');
  reader.deliverTo(notes);
  pair.peer.send('XX\r\n2\r\nno\r\n');
  await notes.when(({ told }) => told.length > 0);
  pair.peer.end();
  assert.deepEqual([notes.text, notes.codes], ['ok', ['not_implemented']]);
});

test('nothing is read until somebody receives', async () => {
  await using pair = await wirePair();
  read(pair.wire, { kind: 'length', bytes: 100_000 });
  pair.peer.send('x'.repeat(100_000));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(pair.wire.stream.bytesRead, 0);
});
