import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { messagesIn } from '../../test/support/http-messages.ts';
import type { Gate } from '../contracts/stages.ts';
import type { ByteSource, Receiver } from '../contracts/wire.ts';
import { Flow, type FlowEnd, type FlowOptions } from './flow.ts';

/** A source in a test's hands. */
class Tap implements ByteSource {
  receiver: Receiver | undefined;
  readonly calls: string[] = [];
  lent: Buffer | undefined;
  deliverTo(receiver: Receiver | undefined): void {
    this.receiver = receiver;
  }
  pause(): void {
    this.calls.push('pause');
  }
  resume(): void {
    this.calls.push('resume');
  }
  lend(buffer: Buffer | undefined): void {
    this.lent = buffer;
  }
  get lentBytes(): number {
    return this.lent?.length ?? 0;
  }
  /** As a read does: into the lent buffer, or into the one that all sources share. */
  read(text: string | Buffer): void {
    const bytes = Buffer.from(text);
    if (this.lent === undefined) this.receiver?.bytes(bytes, 'shared');
    else {
      bytes.copy(this.lent);
      this.receiver?.bytes(this.lent.subarray(0, bytes.length), 'lent');
    }
    if (this.lent === undefined) bytes.fill('!');
  }
}

/** A stream that takes a write only when the test says so. */
class Slow extends Writable {
  readonly taken: Buffer[] = [];
  #done: ((error?: Error) => void) | undefined;
  #isOpen: boolean;
  constructor(how: 'open' | 'stuck') {
    super();
    this.#isOpen = how === 'open';
  }
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    const take = (error?: Error) => {
      this.taken.push(Buffer.from(chunk));
      done(error);
    };
    if (this.#isOpen) take();
    else this.#done = take;
  }
  take(error?: Error): void {
    this.#done?.(error);
  }
  get text(): string {
    return Buffer.concat(this.taken).toString('latin1');
  }
}

function flow(to: Slow, more: Partial<FlowOptions> = {}) {
  const source = new Tap();
  const ends: FlowEnd[] = [];
  let bytes = 0;
  const made = new Flow({
    source,
    to,
    coding: 'raw',
    gate: undefined,
    count: (count) => {
      bytes += count;
    },
    ended: (end) => ends.push(end),
    ...more,
  });
  return { source, ends, made, bytes: () => bytes };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('moves early data first, then what is read, and reports the end once', () => {
  const to = new Slow('open');
  const { source, ends, made, bytes } = flow(to);
  made.start(Buffer.from('early '));
  source.read('late');
  source.receiver?.end();
  assert.deepEqual([to.text, ends, bytes()], ['early late', [{ at: 'ended' }], 10]);
});

test('what is read into the shared buffer is copied before the next read into it', async () => {
  const to = new Slow('stuck');
  const { source, made } = flow(to);
  made.start(Buffer.alloc(0));
  source.read('one');
  to.take();
  await turn();
  assert.equal(to.text, 'one');
});

test('a stream that takes no more pauses the source, which resumes when it has', async () => {
  const to = new Slow('stuck');
  const { source, made } = flow(to);
  made.start(Buffer.alloc(0));
  source.read('one');
  assert.deepEqual([source.calls, made.blockedOn], [['pause'], 'stream']);
  to.take();
  await turn();
  assert.deepEqual([source.calls, made.blockedOn], [['pause', 'resume'], 'nothing']);
});

test('a large read gives the flow a buffer of its own, small reads take it away again', () => {
  const to = new Slow('open');
  const { source, made } = flow(to);
  made.start(Buffer.alloc(0));
  source.read('s'.repeat(100));
  assert.equal(source.lentBytes, 0);
  source.read('l'.repeat(40_000));
  assert.ok(source.lentBytes >= 65_536);
  for (let count = 0; count < 15; count++) source.read('s');
  assert.ok(source.lentBytes > 0);
  source.read('s');
  assert.equal(source.lentBytes, 0);
  assert.equal(to.text, `${'s'.repeat(100)}${'l'.repeat(40_000)}${'s'.repeat(16)}`);
});

for (const gate of [undefined, halves()]) {
  test(`chunks hold what was read, in order, ${gate ? 'in pieces' : 'whole'}, for every kind of buffer`, () => {
    const to = new Slow('open');
    const { source, made } = flow(to, { coding: 'chunked', gate });
    made.start(Buffer.from('early'));
    let all = 'early';
    for (const size of [1, 9, 40_000, 65_536, 16, 100_000, 3, 262_144]) {
      const text = String.fromCharCode(97 + (size % 26)).repeat(size);
      source.read(text);
      all += text;
    }
    to.write('0\r\n\r\n');
    const wire = Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'), ...to.taken]);
    const [message] = messagesIn(wire, { kind: 'response' });
    assert.equal(message?.complete, true);
    assert.ok(message?.body.toString() === all);
  });
}

/** Grants half of what is asked for, at once. */
function halves(): Gate {
  return { take: (bytes) => Math.ceil(bytes / 2), refund: () => undefined };
}

test('a gate that grants later holds the rest, and the source with it', async () => {
  const to = new Slow('open');
  const grants: ((bytes: number) => void)[] = [];
  const gate: Gate = { take: () => new Promise((resolve) => grants.push(resolve)), refund: () => undefined };
  const { source, made } = flow(to, { gate });
  made.start(Buffer.alloc(0));
  source.read('abcdef');
  assert.deepEqual([to.text, made.blockedOn], ['', 'gate']);
  grants[0]?.(2);
  await turn();
  assert.deepEqual([to.text, made.blockedOn, made.isHolding], ['ab', 'gate', true]);
  grants[1]?.(4);
  await turn();
  assert.deepEqual([to.text, made.blockedOn, source.calls.at(-1)], ['abcdef', 'nothing', 'resume']);
});

test('an end of the source waits for what is held', async () => {
  const to = new Slow('open');
  let grant: (bytes: number) => void = () => undefined;
  const gate: Gate = {
    take: () =>
      new Promise((resolve) => {
        grant = resolve;
      }),
    refund: () => undefined,
  };
  const { source, ends, made } = flow(to, { gate });
  made.start(Buffer.alloc(0));
  source.read('abc');
  source.receiver?.end();
  assert.deepEqual(ends, []);
  grant(3);
  await turn();
  assert.deepEqual([to.text, ends], ['abc', [{ at: 'ended' }]]);
});

test('a gate that grants nothing ends the flow; what is granted to one that is over goes back', async () => {
  const to = new Slow('open');
  const forbidden = flow(to, { gate: { take: () => 0, refund: () => undefined } });
  forbidden.made.start(Buffer.alloc(0));
  forbidden.source.read('abc');
  assert.deepEqual(forbidden.ends, [{ at: 'forbidden' }]);
  let grant: (bytes: number) => void = () => undefined;
  let back = 0;
  const gate: Gate = {
    take: () =>
      new Promise((resolve) => {
        grant = resolve;
      }),
    refund: (bytes) => {
      back += bytes;
    },
  };
  const stopped = flow(to, { gate });
  stopped.made.start(Buffer.alloc(0));
  stopped.source.read('abc');
  stopped.made.stop();
  grant(3);
  await turn();
  assert.deepEqual([back, to.text, stopped.ends], [3, '', []]);
});

test('failures of the source and of the stream are distinguished, and reported once', async () => {
  const failure = new Error('test');
  const source = flow(new Slow('open'));
  source.made.start(Buffer.alloc(0));
  source.source.receiver?.failed(failure);
  assert.deepEqual(source.ends, [{ at: 'failed', error: failure }]);

  const to = new Slow('stuck');
  to.on('error', () => undefined);
  const broken = flow(to);
  broken.made.start(Buffer.alloc(0));
  broken.source.read('abc');
  to.take(failure);
  await turn();
  assert.deepEqual(
    broken.ends.map(({ at }) => at),
    ['broken'],
  );
});
