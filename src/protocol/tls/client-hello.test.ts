import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import fc from 'fast-check';
import { CLIENT_HELLO_BYTES_MAX, readClientHello } from './client-hello.ts';

/** The first bytes of node:tls (OpenSSL). */
async function realHello(options: ConnectionOptions): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
      socket.emit('wrote');
    },
  });
  const client = connect({ ...options, socket });
  client.on('error', () => {});
  if (chunks.length === 0) await once(socket, 'wrote');
  client.destroy();
  return Buffer.concat(chunks);
}

/** The same message in records of `size` bytes. */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const fragment = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, fragment.length >> 8, fragment.length & 0xff]), fragment);
  }
  return Buffer.concat(records);
}

const browser = await realHello({ servername: 'www.example.org', ALPNProtocols: ['h2', 'http/1.1'] });
const expected = {
  at: 'hello',
  serverName: 'www.example.org',
  alpn: ['h2', 'http/1.1'],
  versions: ['TLS 1.3', 'TLS 1.2'],
  encrypted: false,
  bytes: browser.length - 5,
};

test('reads name, protocols and versions of a real ClientHello', () => {
  assert.deepEqual(readClientHello(browser), expected);
});

test('an old client sends neither a name for an address nor a list of versions', async () => {
  const hello = readClientHello(await realHello({ host: '127.0.0.1', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }));
  assert.equal(hello.at, 'hello');
  assert.ok(hello.at === 'hello');
  assert.equal('serverName' in hello, false);
  assert.deepEqual([hello.alpn, hello.versions], [[], ['TLS 1.2']]);
});

test('returns `more` at every byte before the last, and ignores bytes behind the message', () => {
  for (let cut = 0; cut < browser.length; cut++) {
    assert.deepEqual(readClientHello(browser.subarray(0, cut)), { at: 'more' }, `cut at ${cut}`);
  }
  assert.deepEqual(readClientHello(Buffer.concat([browser, Buffer.from([23, 3, 3, 0, 1, 7])])), expected);
});

test('joins a message that is spread over records of any size', () => {
  for (const size of [1, 2, 3, 4, 5, 100, browser.length - 6]) {
    const wire = inRecords(browser, size);
    assert.deepEqual(readClientHello(wire), expected, `records of ${size}`);
    assert.deepEqual(readClientHello(wire.subarray(0, -1)), { at: 'more' });
  }
});

test('returns not-tls at the first byte of other protocols', () => {
  for (const text of ['G', 'SSH-2.0-OpenSSH_9.2\r\n', 'GET / HTTP/1.1\r\n', '\x16\x02', '\x15\x03\x03\x00\x02']) {
    assert.deepEqual(readClientHello(Buffer.from(text, 'latin1')), { at: 'not-tls' }, text);
  }
  const serverHello = Buffer.from([22, 3, 3, 0, 4, 2, 0, 0, 0]);
  assert.deepEqual(readClientHello(serverHello), { at: 'not-tls' });
});

test('empty records and a message without end are not-tls', () => {
  assert.deepEqual(readClientHello(Buffer.from([22, 3, 1, 0, 0])), { at: 'not-tls' });
  const endless = Buffer.alloc(CLIENT_HELLO_BYTES_MAX);
  endless.set([22, 3, 1, 0x40, 0x00, 1, 0xff, 0xff, 0xff]);
  assert.deepEqual(readClientHello(endless.subarray(0, -1)), { at: 'more' });
  assert.deepEqual(readClientHello(endless), { at: 'not-tls' });
});

test('leaves out GREASE', () => {
  const extensions = Buffer.from([0, 16, 0, 8, 0, 6, 2, 0x3a, 0x3a, 2, 0x68, 0x32, 0, 43, 0, 5, 4, 0x7a, 0x7a, 3, 4]);
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32),
    Buffer.from([0, 0, 2, 0x13, 0x01, 1, 0, 0, extensions.length]),
    extensions,
  ]);
  const hello = Buffer.concat([Buffer.from([22, 3, 1, 0, body.length + 4, 1, 0, 0, body.length]), body]);
  assert.deepEqual(readClientHello(hello), {
    at: 'hello',
    alpn: ['h2'],
    versions: ['TLS 1.3'],
    encrypted: false,
    bytes: body.length + 4,
  });
});

test('it never throws, and decides the same wherever the bytes are cut', () => {
  const near = fc
    .tuple(fc.integer({ min: 0, max: browser.length - 1 }), fc.uint8Array({ minLength: 1, maxLength: 8 }))
    .map(([at, patch]) => {
      const broken = Buffer.from(browser);
      broken.set(patch.subarray(0, broken.length - at), at);
      return broken;
    });
  fc.assert(
    fc.property(fc.oneof(near, fc.uint8Array({ maxLength: 200 })), fc.nat(300), (bytes, cut) => {
      const whole = readClientHello(bytes);
      const early = readClientHello(bytes.subarray(0, cut));
      if (early.at !== 'more') assert.deepEqual(early, whole);
    }),
    { numRuns: 500 },
  );
});
