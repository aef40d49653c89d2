/** What only the lane does: it tells a whole turn at once, gives descriptors away, and ends with its environment. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Receiver } from '../../src/core/source.ts';
import { HAPPENED, type LaneAddon } from '../../src/native/addon.ts';
import { Lane, type LaneListener, laneSockets, nativeLane } from '../../src/native/lane.ts';
import type { LaneWire } from '../../src/native/lane-wire.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { run } from '../support/run.ts';
import { dialledBy, Notes, socketPair, wirePair } from '../support/wire-pair.ts';

const EPIPE = 32;
const ENOBUFS = 105;
const ECONNRESET = 104;

/** An event as the addon tells it; bytes are given as text. */
type Told = readonly [
  kind: keyof typeof HAPPENED,
  socket: number,
  first?: number | string,
  second?: number,
  third?: number,
];

/** An addon whose turns a test makes up. */
class MadeUpAddon implements LaneAddon {
  readonly done: string[] = [];
  /** What the next writes return; all that they are given when there is nothing here. */
  readonly writes: number[] = [];
  #onTurn: Parameters<LaneAddon['start']>[0] = () => undefined;
  #happened = new Int32Array();
  #buffer = Buffer.alloc(0);
  #next = 5;

  start(...[onTurn, , happened, buffer]: Parameters<LaneAddon['start']>): void {
    this.#onTurn = onTurn;
    this.#happened = new Int32Array(happened);
    this.#buffer = Buffer.from(buffer);
  }
  tell(...events: readonly Told[]): void {
    let filled = 0;
    for (const [at, [kind, socket, first = 0, second = 0, third = 0]] of events.entries()) {
      const length = typeof first === 'string' ? this.#buffer.write(first, filled, 'latin1') : second;
      this.#happened.set([HAPPENED[kind], socket, typeof first === 'string' ? filled : first, length, third], 5 * at);
      if (typeof first === 'string') filled += length;
    }
    this.#onTurn(events.length, false);
  }
  turn(): void {}
  listen(): number {
    return this.#next++;
  }
  serve(): number {
    return 0;
  }
  dial(): number {
    return this.#next++;
  }
  later(): void {}
  write(socket: number, bytes: Uint8Array): number {
    this.done.push(`write ${socket}`);
    return this.writes.shift() ?? bytes.length;
  }
  writeText(socket: number, text: string): number {
    this.done.push(`write ${socket}`);
    return this.writes.shift() ?? text.length;
  }
  read(): number {
    return 0;
  }
  shutDown(socket: number): number {
    this.done.push(`shut ${socket}`);
    return 0;
  }
  close(socket: number): void {
    this.done.push(`close ${socket}`);
  }
  reset(socket: number): void {
    this.done.push(`reset ${socket}`);
  }
  release(socket: number): number {
    this.done.push(`release ${socket}`);
    return 100 + socket;
  }
  size(): number {
    return 0;
  }
  keepAlive(): void {}
  peer(): readonly [string, number] {
    return ['2001:db8::7', 1];
  }
  own(): readonly [string, number] {
    return ['::', 2];
  }
}

/** A lane over such an addon, and two wires on it, numbers 5 and 6, that have connected. */
function madeUp(): { addon: MadeUpAddon; lane: Lane; one: LaneWire; two: LaneWire } & Disposable {
  const addon = new MadeUpAddon();
  const lane = new Lane(addon);
  const [one, two] = [lane.dial('127.0.0.1', 1, () => undefined), lane.dial('127.0.0.1', 1, () => undefined)];
  addon.tell(['connected', 5], ['connected', 6]);
  return {
    addon,
    lane,
    one,
    two,
    [Symbol.dispose]() {
      one.destroy();
      two.destroy();
    },
  };
}

/** Notes, and does something at the first piece. */
class AtFirst extends Notes {
  readonly #act: () => void;
  constructor(act: () => void) {
    super();
    this.#act = act;
  }
  override bytes(...told: Parameters<Receiver['bytes']>): void {
    super.bytes(...told);
    if (this.ownerships.length === 1) this.#act();
  }
}

test('whoever destroys at one event hears no other of that turn', async () => {
  using world = madeUp();
  const { addon, one, two } = world;
  const [notes, others] = [new AtFirst(() => one.destroy()), new Notes()];
  one.deliverTo(notes);
  two.deliverTo(others);
  addon.tell(['bytes', 5, 'a'], ['bytes', 6, 'x'], ['bytes', 5, 'b'], ['ended', 5], ['writable', 5]);
  await nextTurn();
  assert.deepEqual([notes.text, notes.told, others.text], ['a', ['failed ECONNRESET'], 'x']);
  assert.deepEqual(addon.done, ['close 5']);
});

test('whoever pauses at one event hears the others of that turn when it goes on', async () => {
  using world = madeUp();
  const { addon, one } = world;
  const notes = new AtFirst(() => one.pause());
  one.deliverTo(notes);
  addon.tell(['bytes', 5, 'a'], ['bytes', 5, 'b'], ['bytes', 5, 'c'], ['ended', 5]);
  await nextTurn();
  assert.deepEqual([notes.text, notes.told], ['a', []]);
  one.resume();
  one.pause();
  one.resume();
  await nextTurn();
  assert.deepEqual([notes.text, notes.ownerships, notes.told], ['abc', ['shared', 'fresh'], ['end']]);
});

test('an error that came in the turn of a pause is told when reading goes on', async () => {
  using world = madeUp();
  const { addon, one } = world;
  const notes = new AtFirst(() => one.pause());
  one.deliverTo(notes);
  addon.tell(['bytes', 5, 'a'], ['bytes', 5, 'b'], ['failed', 5, ECONNRESET]);
  await nextTurn();
  assert.equal(one.giveAway(), undefined);
  one.resume();
  await nextTurn();
  assert.deepEqual([notes.text, notes.told, addon.done], ['ab', ['failed ECONNRESET'], ['close 5']]);
});

test('a socket that is given away at one event takes the bytes of the others with it', async () => {
  using world = madeUp();
  const { addon, one, two } = world;
  let closed = 0;
  one.once('close', () => closed++);
  const given: (string | number | undefined)[] = [];
  const notes = new AtFirst(() => {
    for (const wire of [one, two]) {
      const { fd, early } = wire.giveAway() ?? { fd: undefined, early: '' };
      given.push(fd, early.toString());
    }
  });
  const others = new Notes();
  one.deliverTo(notes);
  two.deliverTo(others);
  addon.tell(['bytes', 5, 'a'], ['bytes', 6, 'x'], ['bytes', 5, 'b'], ['writable', 5], ['ended', 6], ['ended', 5]);
  await nextTurn();
  assert.deepEqual(given, [105, 'b', 106, 'x']);
  assert.deepEqual([notes.text, notes.told, others.text, others.told], ['a', [], '', []]);
  assert.deepEqual([addon.done, closed, one.destroyed], [['release 5', 'release 6'], 1, true]);
  assert.equal(one.giveAway(), undefined);
});

test('a socket with an error behind its bytes is not given away, and its reader hears both', async () => {
  using world = madeUp();
  const { addon, one } = world;
  const given: unknown[] = [];
  const notes = new AtFirst(() => given.push(one.giveAway()));
  one.deliverTo(notes);
  addon.tell(['bytes', 5, 'a'], ['bytes', 5, 'b'], ['failed', 5, ECONNRESET]);
  await nextTurn();
  assert.deepEqual([given, notes.text, notes.told], [[undefined], 'ab', ['failed ECONNRESET']]);
});

test('what is unsent, ended or failed is not given away', async () => {
  using world = madeUp();
  const { addon, one, two } = world;
  addon.writes.push(1);
  let inCallback: unknown;
  one.write(Buffer.from('abc'), () => {
    inCallback = one.giveAway()?.fd;
  });
  assert.equal(one.giveAway(), undefined);
  addon.tell(['writable', 5]);
  // The last of it is written when its callback is called.
  assert.equal(inCallback, 105);
  two.end();
  assert.equal(two.giveAway(), undefined);
  const dialled = world.lane.dial('127.0.0.1', 1, () => undefined);
  assert.equal(dialled.giveAway(), undefined);
  dialled.destroy();
  await nextTurn();
});

test('an exception in one handler takes nothing from the others', async () => {
  using world = madeUp();
  const { addon, one, two } = world;
  const thrown: unknown[] = [];
  process.setUncaughtExceptionCaptureCallback((error) => thrown.push(error.message));
  const others = new Notes();
  one.deliverTo(
    new AtFirst(() => {
      throw new Error('mine');
    }),
  );
  two.deliverTo(others);
  addon.tell(['bytes', 5, 'a'], ['bytes', 6, 'x'], ['ended', 6]);
  assert.deepEqual([others.text, others.told], ['x', ['end']]);
  await nextTurn();
  process.setUncaughtExceptionCaptureCallback(null);
  assert.deepEqual(thrown, ['mine']);
});

test('an address comes as a number, or is asked for', () => {
  const addon = new MadeUpAddon();
  const lane = new Lane(addon);
  const listener = lane.listen('::', 0, 1, undefined);
  const came: string[] = [];
  listener.serve({
    accepted(wire, address, port) {
      came.push(`${address} ${port}`);
      wire.destroy();
      if (port === 4) listener.close();
    },
    failed: (error) => came.push(error.message),
  });
  addon.tell(
    ['accepted', 10, 5, 1, -1],
    ['accepted', 11, 5, 2, 0x7f000001],
    ['refused', 5, 24],
    ['accepted', 12, 5, 65_535, 0x0a0000ff],
    ['accepted', 13, 5, 4, 0],
    ['accepted', 14, 5, 5, 0x01020304],
  );
  assert.deepEqual(came, ['255.255.255.255 1', '127.0.0.1 2', 'accept EMFILE', '10.0.0.255 65535', '2001:db8::7 4']);
  // The last one came to a listener that was closed in this turn.
  assert.deepEqual(addon.done, ['close 10', 'close 11', 'close 12', 'close 13', 'close 5', 'close 14']);
});

test('behind a callback that destroys nothing is written to the socket', async () => {
  using world = madeUp();
  const { addon, one } = world;
  const told: string[] = [];
  addon.writes.push(1);
  one.write(Buffer.from('abc'), () => one.destroy());
  one.write(Buffer.from('def'), (error) => told.push(String(error && 'code' in error && error.code)));
  one.end(() => told.push('end'));
  addon.done.length = 0;
  addon.tell(['writable', 5]);
  await nextTurn();
  assert.deepEqual(
    [addon.done, told],
    [
      ['write 5', 'close 5'],
      ['ERR_STREAM_DESTROYED', 'end'],
    ],
  );
});

test('a callback that writes and ends keeps the order', async () => {
  using world = madeUp();
  const { addon, one } = world;
  const told: string[] = [];
  addon.writes.push(1, 2, 1, 0);
  one.write(Buffer.from('abc'), () => {
    told.push('abc');
    one.write(Buffer.from('def'), () => told.push('def'));
    one.end(() => told.push('end'));
  });
  addon.tell(['writable', 5]);
  assert.deepEqual([told, one.writableLength], [['abc'], 2]);
  addon.tell(['writable', 5]);
  await nextTurn();
  assert.deepEqual([told, one.writableLength, addon.done.at(-1)], [['abc', 'def', 'end'], 0, 'shut 5']);
});

test('of a long text what the socket does not take at once waits', () => {
  using world = madeUp();
  const { addon, one } = world;
  addon.writes.push(16_000, 1_000);
  one.write('x'.repeat(20_000), 'latin1');
  assert.deepEqual([one.writableLength, addon.done.length], [3_000, 2]);
});

test('a write that fails leaves what the peer had said before, and only that', async () => {
  using world = madeUp();
  const { addon, one, two } = world;
  const told: string[] = [];
  const [early, other] = [new Notes(), new Notes()];
  one.deliverTo(early);
  two.deliverTo(other);
  addon.writes.push(-EPIPE, -ENOBUFS);
  one.write(Buffer.from('body'), (error) => told.push(String(error?.message)));
  two.write(Buffer.from('body'), (error) => told.push(String(error?.message)));
  one.write(Buffer.from('more'), (error) => told.push(String(error?.message)));
  await nextTurn();
  assert.deepEqual(told, ['write EPIPE', 'write ENOBUFS', 'write EPIPE']);
  // Behind an error that is not of a peer that has gone, no end will be read.
  assert.deepEqual([early.told, other.told], [[], ['failed ENOBUFS']]);
  addon.tell(['bytes', 5, 'early answer'], ['ended', 5]);
  assert.deepEqual([early.text, early.told, one.destroyed], ['early answer', ['failed EPIPE'], true]);
});

const lane = nativeLane();
const skip = lane === undefined && 'the addon is not built here; npm run build says why';

test(
  'an early answer is read behind the write that fails',
  { skip },
  leavesNothing(async () => {
    assert.ok(lane);
    await using pair = await wirePair(undefined, dialledBy(lane));
    const { wire, peer } = pair;
    // What is unread makes a reset of a close.
    peer.socket.pause();
    wire.write(Buffer.alloc(100_000));
    const notes = new Notes();
    wire.deliverTo(notes);
    await wait(20);
    peer.send('413 no');
    peer.socket.destroy();
    await new Promise<void>((resolve) => process.nextTick(resolve));
    // The kernel has all of that, and the lane has not looked yet.
    let failed = '';
    wire.write(Buffer.alloc(100_000), (error) => {
      failed = String(error && 'code' in error && error.code);
    });
    await notes.when(({ told }) => told.length > 0);
    assert.equal(notes.text, '413 no');
    assert.match(failed, /^(EPIPE|ECONNRESET)$/);
    assert.match(notes.told.join(), /^failed (EPIPE|ECONNRESET)$/);
  }),
);

test(
  'clients of both families have their own addresses',
  { skip },
  leavesNothing(async () => {
    assert.ok(lane);
    const listener = lane.listen('::', 0, 16, undefined);
    const came: string[] = [];
    const clients: Socket[] = [];
    await new Promise<void>((resolve, reject) => {
      listener.serve({
        accepted(wire, address, port) {
          came.push(`${address} ${clients.some(({ localPort }) => localPort === port)}`);
          wire.destroy();
          if (came.length === 2) resolve();
        },
        failed: reject,
      });
      for (const host of ['127.0.0.1', '::1']) clients.push(connect({ host, port: listener.port }));
    });
    for (const client of clients) client.destroy();
    listener.close();
    assert.deepEqual(came.sort(), ['127.0.0.1 true', '::1 true']);
  }),
);

test(
  'a refusal is told once, and what is no address at once',
  { skip },
  leavesNothing(async () => {
    assert.ok(lane);
    const { port, close } = lane.listen('127.0.0.1', 0, 1, undefined);
    close();
    const told: (string | undefined)[] = [];
    const wire = lane.dial('127.0.0.1', port, (error) => told.push(error && 'code' in error ? String(error.code) : ''));
    let closed = 0;
    wire.once('close', () => closed++);
    for (let turns = 0; turns < 200 && closed === 0; turns++) await wait(5);
    await wait(20);
    assert.deepEqual([told, closed, wire.destroyed], [['ECONNREFUSED'], 1, true]);
    for (const address of ['', 'localhost', '1.2.3', '::g', '1'.repeat(500)]) {
      assert.throws(() => lane.dial(address, 1, () => undefined), { code: 'EINVAL' });
      assert.throws(() => lane.listen(address, 1, 1, undefined), { code: 'EINVAL' });
    }
  }),
);

test(
  'a dial that is destroyed before its end tells nobody of it',
  { skip },
  leavesNothing(async () => {
    assert.ok(lane);
    const listener = lane.listen('127.0.0.1', 0, 1, undefined);
    const told: unknown[] = [];
    lane.dial('127.0.0.1', listener.port, (error) => told.push(error)).destroy();
    await wait(20);
    listener.close();
    assert.deepEqual(told, []);
  }),
);

const laneModule = new URL('../../src/native/lane.ts', import.meta.url).href;

test(
  'a worker that ends with sockets of the lane open takes them with it, and ours go on',
  { skip },
  leavesNothing(async () => {
    assert.ok(lane);
    const { wire, accepted } = await socketPair(undefined, dialledBy(lane));
    const worker = new Worker(
      `const { parentPort } = require('node:worker_threads');
       import(${JSON.stringify(laneModule)}).then(({ nativeLane }) => {
         const listener = nativeLane().listen('127.0.0.1', 0, 16, undefined);
         listener.serve({ accepted: (wire) => wire.deliverTo({ bytes: (b) => wire.write(Buffer.from(b)), end() {}, failed() {} }) });
         parentPort.postMessage(listener.port);
       });`,
      { eval: true },
    );
    const [port] = await once(worker, 'message');
    const client = connect({ host: '127.0.0.1', port });
    client.write('ping');
    assert.equal(String((await once(client, 'data'))[0]), 'ping');
    const gone = once(client, 'close');
    await worker.terminate();
    client.resume().on('error', () => undefined);
    await gone;
    const late = connect({ host: '127.0.0.1', port });
    const [error] = await once(late, 'error');
    assert.equal(error.code, 'ECONNREFUSED');
    const notes = new Notes();
    wire.deliverTo(notes);
    accepted.end('still here');
    await notes.when(({ told }) => told.length > 0);
    assert.equal(notes.text, 'still here');
    wire.destroy();
    accepted.destroy();
    assert.equal(laneSockets(), 0);
  }),
);

test(
  'a client that has reset before it is looked at still has its address',
  { skip },
  leavesNothing(async () => {
    const lane = nativeLane();
    assert.ok(lane);
    for (const host of ['::1', '127.0.0.1']) {
      const listener: LaneListener = lane.listen(host, 0, 1, undefined);
      const resets: string = `require('net').connect(${listener.port}, '${host}', function () { this.resetAndDestroy(); })`;
      // Our loop stands still meanwhile.
      assert.equal(spawnSync(process.execPath, ['-e', resets]).status, 0);
      const came = await new Promise<string>((resolve, reject) =>
        listener.serve({
          accepted(wire, address) {
            wire.destroy();
            resolve(address);
          },
          failed: reject,
        }),
      );
      listener.close();
      assert.equal(came, host);
    }
  }),
);

test('a process with a lane that has no sockets ends by itself', { skip }, async () => {
  const program = (then: string) => `import(${JSON.stringify(laneModule)}).then(({ nativeLane }) => {
    const lane = nativeLane();
    ${then}
  })`;
  for (const then of [
    '',
    "lane.listen('127.0.0.1', 0, 1, undefined).close();",
    "lane.dial('127.0.0.1', 1, () => console.log('told'));",
  ]) {
    const { code, out, err } = await run(process.execPath, ['-e', program(then)]);
    assert.deepEqual([code, out, err], [0, then.includes('told') ? 'told\n' : '', '']);
  }
});
