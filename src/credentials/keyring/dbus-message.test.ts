import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BusFormatError, encodeCall, takeMessage } from './dbus-message.ts';

test('writes a call that starts no program, as the specification lays it out', () => {
  const bytes = encodeCall(
    { destination: 'a.b', path: '/p', interface: 'c.d', member: 'M', args: [{ type: 's', value: 'x' }] },
    1,
  );
  const expected = Buffer.concat([
    Buffer.from([0x6c, 1, 0x02, 1, 6, 0, 0, 0, 1, 0, 0, 0, 71, 0, 0, 0]),
    Buffer.from('\x01\x01o\0\x02\0\0\0/p\0\0\0\0\0\0', 'latin1'),
    Buffer.from('\x02\x01s\0\x03\0\0\0c.d\0\0\0\0\0', 'latin1'),
    Buffer.from('\x03\x01s\0\x01\0\0\0M\0\0\0\0\0\0\0', 'latin1'),
    Buffer.from('\x06\x01s\0\x03\0\0\0a.b\0\0\0\0\0', 'latin1'),
    Buffer.from('\x08\x01g\0\x01s\0\0', 'latin1'),
    Buffer.from('\x01\0\0\0x\0', 'latin1'),
  ]);
  assert.deepEqual(bytes, expected);
});

test('a dictionary does not count the padding in front of its first entry', () => {
  const bytes = encodeCall(
    { destination: 'a.b', path: '/p', interface: 'c.d', member: 'M', args: [{ type: 'a{ss}', value: { k: 'v' } }] },
    1,
  );
  assert.deepEqual(bytes.subarray(-22), Buffer.from('\x0e\0\0\0\0\0\0\0\x01\0\0\0k\0\0\0\x01\0\0\0v\0', 'latin1'));
});

/** A reply to call 7 with two lists of paths, in either byte order. */
function reply(order: 'l' | 'B'): Buffer {
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    if (order === 'l') bytes.writeUInt32LE(value);
    else bytes.writeUInt32BE(value);
    return bytes;
  };
  const body = Buffer.concat([u32(8), u32(3), Buffer.from('/ab\0'), u32(0)]);
  const fields = Buffer.concat([
    Buffer.from('\x05\x01u\0', 'latin1'),
    u32(7),
    Buffer.from('\x08\x01g\0\x04aoao\0', 'latin1'),
  ]);
  const padding = Buffer.alloc((8 - (fields.length % 8)) % 8);
  const fixed = [Buffer.from([order.charCodeAt(0), 2, 1, 1]), u32(body.length), u32(3), u32(fields.length)];
  return Buffer.concat([...fixed, fields, padding, body]);
}

test('reads a reply cut at any byte, in either byte order, and keeps what follows it', () => {
  for (const order of ['l', 'B'] as const) {
    const wire = Buffer.concat([reply(order), Buffer.from('next')]);
    for (let cut = 0; cut < wire.length - 4; cut++) assert.equal(takeMessage(wire.subarray(0, cut)), undefined);
    const taken = takeMessage(wire);
    assert.equal(taken?.rest.toString(), 'next');
    assert.ok(taken?.message.kind === 'reply');
    assert.equal(taken.message.to, 7);
    assert.deepEqual([taken.message.body.paths(), taken.message.body.paths()], [['/ab'], []]);
  }
});

test('refuses what is no message, and one that is too large', () => {
  assert.throws(() => takeMessage(Buffer.from('HTTP/1.1 400 Bad')), BusFormatError);
  const large = reply('l');
  large.writeUInt32LE(2 ** 30, 4);
  assert.throws(() => takeMessage(large), BusFormatError);
});

test('a body that ends too early is an error, and reads nothing beyond it', () => {
  const short = reply('l');
  short.writeUInt32LE(3, 4);
  const taken = takeMessage(short);
  assert.ok(taken?.message.kind === 'reply');
  const { body } = taken.message;
  assert.throws(() => body.paths(), BusFormatError);
});
