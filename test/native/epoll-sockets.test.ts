/** What only the epoll sockets do: they report a whole tick at once, give descriptors away, and end with their environment. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Receiver } from '../../src/contracts/wire.ts';
import { SOCKET_EVENTS, SOCKET_INDEX_BITS, STATE_WANTED } from '../../src/native/abi.ts';
import type { EpollAddon } from '../../src/native/addon.ts';
import type { EpollListener } from '../../src/net/epoll-listener.ts';
import { EpollSockets, epollSocketCount, epollSockets } from '../../src/net/epoll-sockets.ts';
import type { EpollWire } from '../../src/net/epoll-wire.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { run } from '../support/run.ts';
import { dialledBy, Notes, socketPair, wirePair } from '../support/wire-pair.ts';

const EPIPE = 32;
const ENOBUFS = 105;
const ENOMEM = 12;
const ECONNRESET = 104;

/** An event as the addon reports it; bytes are given as text. */
type MadeUpEvent = readonly [
  kind: keyof typeof SOCKET_EVENTS,
  socket: number,
  first?: number | string,
  second?: number,
  third?: number,
];

/** An addon whose ticks a test makes up. */
class MadeUpAddon implements EpollAddon {
  readonly done: string[] = [];
  /** What the next writes return; all that they are given when there is nothing here. */
  readonly writes: number[] = [];
  #onTick: Parameters<EpollAddon['start']>[0] = () => undefined;
  #events = new Int32Array();
  #buffer = Buffer.alloc(0);
  nextNumber = 5;
  states = new Uint8Array();

  start(...[onTick, states, shared, buffer]: Parameters<EpollAddon['start']>): void {
    this.states = new Uint8Array(states);
    this.#onTick = onTick;
    this.#events = new Int32Array(shared);
    this.#buffer = Buffer.from(buffer);
  }
  report(...events: readonly MadeUpEvent[]): void {
    let filled = 0;
    for (const [at, [kind, socket, first = 0, second = 0, third = 0]] of events.entries()) {
      const length = typeof first === 'string' ? this.#buffer.write(first, filled, 'latin1') : second;
      this.#events.set(
        [SOCKET_EVENTS[kind], socket, typeof first === 'string' ? filled : first, length, third],
        5 * at,
      );
      if (typeof first === 'string') filled += length;
    }
    this.#onTick(events.length, false);
  }
  tick(): void {}
  listen(): number {
    return this.nextNumber++;
  }
  pause(listener: number): void {
    this.done.push(`pause ${listener}`);
  }
  readonly serves: number[] = [];
  serve(listener: number): number {
    this.done.push(`serve ${listener}`);
    return this.serves.shift() ?? 0;
  }
  dial(): number {
    return this.nextNumber++;
  }
  readLater(): void {}
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
  isQuiet(): boolean {
    return true;
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
  takeFd(socket: number): number {
    this.done.push(`takeFd ${socket}`);
    return 100 + socket;
  }
  size(): number {
    return 0;
  }
  keepAlive(): void {}
  boundSilence(): void {}
  peer(): readonly [string, number] {
    return ['2001:db8::7', 1];
  }
  local(): readonly [string, number] {
    return ['::', 2];
  }
}

/** Epoll sockets over such an addon, and two wires on them, numbers 5 and 6, that have connected. */
function madeUp(): { addon: MadeUpAddon; sockets: EpollSockets; one: EpollWire; two: EpollWire } & Disposable {
  const addon = new MadeUpAddon();
  const sockets = new EpollSockets(addon);
  const [one, two] = [sockets.dial('127.0.0.1', 1, () => undefined), sockets.dial('127.0.0.1', 1, () => undefined)];
  addon.report(['connected', 5], ['connected', 6]);
  return {
    addon,
    sockets,
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
  override bytes(...args: Parameters<Receiver['bytes']>): void {
    super.bytes(...args);
    if (this.ownerships.length === 1) this.#act();
  }
}

test('a wire that is destroyed at one event gets no other of that tick', async () => {
  using world = madeUp();
  const { addon, one, two } = world;
  const [notes, others] = [new AtFirst(() => one.destroy()), new Notes()];
  one.deliverTo(notes);
  two.deliverTo(others);
  addon.report(['bytes', 5, 'a'], ['bytes', 6, 'x'], ['bytes', 5, 'b'], ['ended', 5], ['writable', 5]);
  await nextTurn();
  assert.deepEqual([notes.text, notes.events, others.text], ['a', ['failed ECONNRESET'], 'x']);
  assert.deepEqual(addon.done, ['close 5']);
});

test('a wire that is paused at one event gets the others of that tick when it resumes', async () => {
  using world = madeUp();
  const { addon, one } = world;
  const notes = new AtFirst(() => one.pause());
  one.deliverTo(notes);
  addon.report(['bytes', 5, 'a'], ['bytes', 5, 'b'], ['bytes', 5, 'c'], ['ended', 5]);
  await nextTurn();
  assert.deepEqual([notes.text, notes.events], ['a', []]);
  one.resume();
  one.pause();
  one.resume();
  await nextTurn();
  assert.deepEqual([notes.text, notes.ownerships, notes.events], ['abc', ['shared', 'fresh'], ['end']]);
});

test('an error that came in the tick of a pause is delivered when reading goes on', async () => {
  using world = madeUp();
  const { addon, one } = world;
  const notes = new AtFirst(() => one.pause());
  one.deliverTo(notes);
  addon.report(['bytes', 5, 'a'], ['bytes', 5, 'b'], ['failed', 5, ECONNRESET]);
  await nextTurn();
  assert.equal(one.takeFd(), undefined);
  one.resume();
  await nextTurn();
  assert.deepEqual([notes.text, notes.events, addon.done], ['ab', ['failed ECONNRESET'], ['close 5']]);
});

test('a socket that is given away at one event takes the bytes of the others with it', async () => {
  using world = madeUp();
  const { addon, one, two } = world;
  let closed = 0;
  one.once('close', () => closed++);
  const given: (string | number | undefined)[] = [];
  const notes = new AtFirst(() => {
    for (const wire of [one, two]) {
      const { fd, early } = wire.takeFd() ?? { fd: undefined, early: '' };
      given.push(fd, early.toString());
    }
  });
  const others = new Notes();
  one.deliverTo(notes);
  two.deliverTo(others);
  addon.report(['bytes', 5, 'a'], ['bytes', 6, 'x'], ['bytes', 5, 'b'], ['writable', 5], ['ended', 6], ['ended', 5]);
  await nextTurn();
  assert.deepEqual(given, [105, 'b', 106, 'x']);
  assert.deepEqual([notes.text, notes.events, others.text, others.events], ['a', [], '', []]);
  assert.deepEqual([addon.done, closed, one.destroyed], [['takeFd 5', 'takeFd 6'], 1, true]);
  assert.equal(one.takeFd(), undefined);
});

test('a socket with an error behind its bytes is not given away, and its reader gets both', async () => {
  using world = madeUp();
  const { addon, one } = world;
  const given: unknown[] = [];
  const notes = new AtFirst(() => given.push(one.takeFd()));
  one.deliverTo(notes);
  addon.report(['bytes', 5, 'a'], ['bytes', 5, 'b'], ['failed', 5, ECONNRESET]);
  await nextTurn();
  assert.deepEqual([given, notes.text, notes.events], [[undefined], 'ab', ['failed ECONNRESET']]);
});

test('what is unsent, ended or failed is not given away', async () => {
  using world = madeUp();
  const { addon, one, two } = world;
  addon.writes.push(1);
  let inCallback: unknown;
  one.write(Buffer.from('abc'), () => {
    inCallback = one.takeFd()?.fd;
  });
  assert.equal(one.takeFd(), undefined);
  addon.report(['writable', 5]);
  // The last of it is written when its callback is called.
  assert.equal(inCallback, 105);
  two.end();
  assert.equal(two.takeFd(), undefined);
  const dialled = world.sockets.dial('127.0.0.1', 1, () => undefined);
  assert.equal(dialled.takeFd(), undefined);
  dialled.destroy();
  await nextTurn();
});

test('an exception in one receiver ends its own connection, and takes nothing from the others', async () => {
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
  addon.report(['bytes', 5, 'a'], ['bytes', 6, 'x'], ['ended', 6]);
  assert.deepEqual([others.text, others.events], ['x', ['end']]);
  await nextTurn();
  process.setUncaughtExceptionCaptureCallback(null);
  assert.deepEqual(thrown, ['mine']);
  assert.deepEqual([addon.done, one.destroyed, two.destroyed], [['reset 5'], true, false]);
});

test('an exception in an accept handler closes its own connection, and the listener goes on', async () => {
  const addon = new MadeUpAddon();
  const listener = new EpollSockets(addon).listen('::', 0, 1, undefined);
  const thrown: unknown[] = [];
  process.setUncaughtExceptionCaptureCallback((error) => thrown.push(error.message));
  let came = 0;
  listener.serve({
    accepted(wire) {
      if (came++ === 0) throw new Error('mine');
      wire.destroy();
    },
    failed: () => undefined,
  });
  addon.report(['accepted', 10, 5, 1, 1], ['accepted', 11, 5, 2, 1]);
  await nextTurn();
  process.setUncaughtExceptionCaptureCallback(null);
  listener.close();
  assert.deepEqual([thrown, addon.done], [['mine'], ['serve 5', 'close 10', 'close 11', 'close 5']]);
});

test('a listener that fails at any call is closed, and its number belongs to no owner', () => {
  const addon = new MadeUpAddon();
  const sockets = new EpollSockets(addon);
  const listener = sockets.listen('::', 0, 1, undefined);
  const came: string[] = [];
  const handler = { accepted: () => came.push('accepted'), failed: () => came.push('failed') };
  addon.serves.push(ENOMEM);
  assert.throws(() => listener.serve(handler), { code: 'ENOMEM', syscall: 'listen' });
  addon.report(['acceptFailed', 5, ENOMEM], ['accepted', 10, 5, 1, 1]);
  listener.resume();
  listener.close();
  assert.throws(() => listener.serve(handler), { code: 'EBADF' });
  assert.deepEqual([came, addon.done], [[], ['serve 5', 'close 5', 'close 10']]);
  addon.local = () => {
    throw new Error('out of memory');
  };
  assert.throws(() => sockets.listen('::', 0, 1, undefined), /out of memory/);
  assert.equal(addon.done.at(-1), 'close 6');
});

test('the state and the owner of a socket are found by its index, without its generation', async () => {
  const addon = new MadeUpAddon();
  const sockets = new EpollSockets(addon);
  const generation = 1 << SOCKET_INDEX_BITS;
  addon.nextNumber = 5 + generation;
  const wire = sockets.dial('127.0.0.1', 1, () => undefined);
  const notes = new Notes();
  addon.report(['connected', 5 + generation]);
  wire.deliverTo(notes);
  assert.equal(addon.states[5], STATE_WANTED);
  addon.report(['bytes', 5 + generation, 'a']);
  wire.destroy();
  await nextTurn();
  assert.deepEqual([notes.text, addon.done], ['a', [`close ${5 + generation}`]]);
});

test('an address comes as a number, or is asked for', () => {
  const addon = new MadeUpAddon();
  const listener = new EpollSockets(addon).listen('::', 0, 1, undefined);
  const came: string[] = [];
  listener.serve({
    accepted(wire, address, port) {
      came.push(`${address} ${port}`);
      wire.destroy();
      if (port === 4) listener.close();
    },
    failed: (error) => came.push(error.message),
  });
  addon.report(
    ['accepted', 10, 5, 1, -1],
    ['accepted', 11, 5, 2, 0x7f000001],
    ['acceptFailed', 5, 24],
    ['accepted', 12, 5, 65_535, 0x0a0000ff],
    ['accepted', 13, 5, 4, 0],
    ['accepted', 14, 5, 5, 0x01020304],
  );
  assert.deepEqual(came, ['255.255.255.255 1', '127.0.0.1 2', 'accept EMFILE', '10.0.0.255 65535', '2001:db8::7 4']);
  // The last one came to a listener that was closed in this tick.
  assert.deepEqual(addon.done, ['serve 5', 'close 10', 'close 11', 'close 12', 'close 13', 'close 5', 'close 14']);
});

test('a listener that cannot go on reports it, and a closed one is left alone', () => {
  const addon = new MadeUpAddon();
  const listener = new EpollSockets(addon).listen('::', 0, 1, undefined);
  const came: string[] = [];
  listener.serve({ accepted: () => undefined, failed: (error) => came.push(error.message) });
  listener.pause();
  addon.serves.push(ENOMEM, 0);
  listener.resume();
  listener.resume();
  listener.close();
  listener.pause();
  listener.resume();
  assert.deepEqual([came, addon.done], [['accept ENOMEM'], ['serve 5', 'pause 5', 'serve 5', 'serve 5', 'close 5']]);
});

test('behind a callback that destroys nothing is written to the socket', async () => {
  using world = madeUp();
  const { addon, one } = world;
  const results: string[] = [];
  addon.writes.push(1);
  one.write(Buffer.from('abc'), () => one.destroy());
  one.write(Buffer.from('def'), (error) => results.push(String(error && 'code' in error && error.code)));
  one.end(() => results.push('end'));
  addon.done.length = 0;
  addon.report(['writable', 5]);
  await nextTurn();
  assert.deepEqual(
    [addon.done, results],
    [
      ['write 5', 'close 5'],
      ['ERR_STREAM_DESTROYED', 'end'],
    ],
  );
});

test('a callback that writes and ends keeps the order', async () => {
  using world = madeUp();
  const { addon, one } = world;
  const results: string[] = [];
  addon.writes.push(1, 2, 1, 0);
  one.write(Buffer.from('abc'), () => {
    results.push('abc');
    one.write(Buffer.from('def'), () => results.push('def'));
    one.end(() => results.push('end'));
  });
  addon.report(['writable', 5]);
  assert.deepEqual([results, one.writableLength], [['abc'], 2]);
  addon.report(['writable', 5]);
  await nextTurn();
  assert.deepEqual([results, one.writableLength, addon.done.at(-1)], [['abc', 'def', 'end'], 0, 'shut 5']);
});

test('of a long text what the socket does not take at once waits', () => {
  using world = madeUp();
  const { addon, one } = world;
  addon.writes.push(16_000, 1_000);
  one.write('x'.repeat(20_000), 'latin1');
  assert.deepEqual([one.writableLength, addon.done.length], [3_000, 2]);
});

test('a write that fails leaves what the peer had sent before, and only that', async () => {
  using world = madeUp();
  const { addon, one, two } = world;
  const results: string[] = [];
  const [early, other] = [new Notes(), new Notes()];
  one.deliverTo(early);
  two.deliverTo(other);
  addon.writes.push(-EPIPE, -ENOBUFS);
  one.write(Buffer.from('body'), (error) => results.push(String(error?.message)));
  two.write(Buffer.from('body'), (error) => results.push(String(error?.message)));
  one.write(Buffer.from('more'), (error) => results.push(String(error?.message)));
  await nextTurn();
  assert.deepEqual(results, ['write EPIPE', 'write ENOBUFS', 'write EPIPE']);
  // A peer that still reads has not got all, and would take a FIN for the end of the data.
  assert.deepEqual(addon.done, ['write 5', 'write 6', 'reset 6']);
  // Behind an error of the system here, no end of the peer will be read.
  assert.deepEqual([early.events, other.events], [[], ['failed ENOBUFS']]);
  addon.report(['bytes', 5, 'early answer'], ['ended', 5]);
  assert.deepEqual([early.text, early.events, one.destroyed], ['early answer', ['failed EPIPE'], true]);
});

const sockets = epollSockets();
const skip = sockets === undefined && 'the addon is not built here; npm run build says why';

test(
  'an early answer is read behind the write that fails',
  { skip },
  leavesNothing(async () => {
    assert.ok(sockets);
    await using pair = await wirePair(undefined, dialledBy(sockets));
    const { wire, peer } = pair;
    // With bytes unread, closing sends a reset.
    peer.socket.pause();
    wire.write(Buffer.alloc(100_000));
    const notes = new Notes();
    wire.deliverTo(notes);
    await wait(20);
    peer.send('413 no');
    peer.socket.destroy();
    await new Promise<void>((resolve) => process.nextTick(resolve));
    // The kernel has all of that, and no tick has read it yet.
    let failed = '';
    wire.write(Buffer.alloc(100_000), (error) => {
      failed = String(error && 'code' in error && error.code);
    });
    await notes.when(({ events }) => events.length > 0);
    assert.equal(notes.text, '413 no');
    assert.match(failed, /^(EPIPE|ECONNRESET)$/);
    assert.match(notes.events.join(), /^failed (EPIPE|ECONNRESET)$/);
  }),
);

test(
  'clients of both families have their own addresses',
  { skip },
  leavesNothing(async () => {
    assert.ok(sockets);
    const listener = sockets.listen('::', 0, 16, undefined);
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
  'a refusal is reported once, and a text that is not an address at once',
  { skip },
  leavesNothing(async () => {
    assert.ok(sockets);
    const listener = sockets.listen('127.0.0.1', 0, 1, undefined);
    const { port } = listener;
    listener.close();
    const results: (string | undefined)[] = [];
    const wire = sockets.dial('127.0.0.1', port, (error) =>
      results.push(error && 'code' in error ? String(error.code) : ''),
    );
    let closed = 0;
    wire.once('close', () => closed++);
    for (let turns = 0; turns < 200 && closed === 0; turns++) await wait(5);
    await wait(20);
    assert.deepEqual([results, closed, wire.destroyed], [['ECONNREFUSED'], 1, true]);
    for (const address of ['', 'localhost', '1.2.3', '::g', '1'.repeat(500)]) {
      assert.throws(() => sockets.dial(address, 1, () => undefined), { code: 'EINVAL' });
      assert.throws(() => sockets.listen(address, 1, 1, undefined), { code: 'EINVAL' });
    }
  }),
);

test(
  'a dial that is destroyed before its end calls nothing',
  { skip },
  leavesNothing(async () => {
    assert.ok(sockets);
    const listener = sockets.listen('127.0.0.1', 0, 1, undefined);
    const results: unknown[] = [];
    sockets.dial('127.0.0.1', listener.port, (error) => results.push(error)).destroy();
    await wait(20);
    listener.close();
    assert.deepEqual(results, []);
  }),
);

const epollModule = new URL('../../src/net/epoll-sockets.ts', import.meta.url).href;

test(
  'a worker that ends with epoll sockets open takes them with it, and those of this thread go on',
  { skip },
  leavesNothing(async () => {
    assert.ok(sockets);
    const { wire, accepted } = await socketPair(undefined, dialledBy(sockets));
    const worker = new Worker(
      `const { parentPort } = require('node:worker_threads');
       import(${JSON.stringify(epollModule)}).then(({ epollSockets }) => {
         const listener = epollSockets().listen('127.0.0.1', 0, 16, undefined);
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
    await notes.when(({ events }) => events.length > 0);
    assert.equal(notes.text, 'still here');
    wire.destroy();
    accepted.destroy();
    assert.equal(epollSocketCount(), 0);
  }),
);

test(
  'a client that has reset before it is looked at still has its address',
  { skip },
  leavesNothing(async () => {
    assert.ok(sockets);
    for (const host of ['::1', '127.0.0.1']) {
      const listener: EpollListener = sockets.listen(host, 0, 1, undefined);
      const resets: string = `require('net').connect(${listener.port}, '${host}', function () { this.resetAndDestroy(); })`;
      // This event loop stands still meanwhile.
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

test('a process without open epoll sockets ends by itself', { skip }, async () => {
  const program = (then: string) => `import(${JSON.stringify(epollModule)}).then(({ epollSockets }) => {
    const sockets = epollSockets();
    ${then}
  })`;
  for (const then of [
    '',
    "sockets.listen('127.0.0.1', 0, 1, undefined).close();",
    "sockets.dial('127.0.0.1', 1, () => console.log('ended'));",
  ]) {
    const { code, out, err } = await run(process.execPath, ['-e', program(then)]);
    assert.deepEqual([code, out, err], [0, then.includes('ended') ? 'ended\n' : '', '']);
  }
});
