import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises';
import type { Receiver, Wire } from '../../src/contracts/wire.ts';
import { resetSocket } from '../../src/net/node-wire.ts';
import { hashOfPattern, MB, patternOf } from '../support/bulk.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { numbers } from '../support/pace.ts';
import { type MakeWire, Notes, socketPair, type WirePair, wirePair } from '../support/wire-pair.ts';

/** What differs between kinds of wires: only how they read. */
export interface WireKind {
  readonly name: string;
  readonly make: MakeWire;
  /** Of bytes that were read without a lent buffer. */
  readonly ownership: 'shared' | 'fresh';
  /** How a peer sees `reset`. */
  readonly reset: 'reset' | 'fin';
  /** Whether `toDuplex` makes a new stream, or gives the one that the wire reads from. */
  readonly asStream: 'a new one' | 'its own';
}

/** More than the kernel keeps for a peer that does not read. */
const MUCH = 8 * MB;

/** A callback that never comes fails its test. */
const TEST_MS_MAX = 20_000;

/** Tests that count callbacks need a time in which one too many would come. */
const SETTLE_MS = 10;
const SETTLE_TURNS = 5;

/** Time for every callback that is due, and for one that must not come. */
async function settle(): Promise<void> {
  for (let turns = 0; turns < SETTLE_TURNS; turns++) await nextTurn();
  await wait(SETTLE_MS);
}

/** Records what it receives, and acts on each piece. */
class Acting extends Notes {
  readonly #act: (chunk: Buffer) => void;

  constructor(act: (chunk: Buffer) => void) {
    super();
    this.#act = act;
  }

  override bytes(chunk: Buffer, ...rest: [Parameters<Receiver['bytes']>[1]]): void {
    super.bytes(chunk, ...rest);
    this.#act(chunk);
  }
}

/** The results of writes, in the order of their callbacks. */
class Writes {
  readonly results: string[] = [];

  as(name: string): (error?: Error | null) => void {
    return (error) => void this.results.push(error ? `${name} failed` : name);
  }
}

/** What every wire promises, over every kind of socket. */
export function wireKeepsItsPromises({ name, make, ownership, reset, asStream }: WireKind): void {
  const promise = (what: string, body: (pair: WirePair<Wire>) => Promise<void>) =>
    test(
      `${name}: ${what}`,
      { timeout: TEST_MS_MAX },
      leavesNothing(async () => {
        await using pair = await wirePair(undefined, make);
        await body(pair);
      }),
    );

  promise('bytes wait for a receiver, and go to one receiver at a time', async ({ wire, peer }) => {
    const notes = [new Notes(), new Notes(), new Notes()];
    for (const [at, one] of notes.entries()) {
      peer.send(`for ${at}`);
      await settle();
      wire.deliverTo(one);
      await one.when(({ text }) => text.length === 5);
      wire.deliverTo(undefined);
    }
    assert.deepEqual(
      notes.map(({ text }) => text),
      ['for 0', 'for 1', 'for 2'],
    );
  });

  promise('a receiver that takes over in the middle of a piece gets what comes behind it', async ({ wire, peer }) => {
    const two = new Notes();
    const one = new Acting(() => wire.deliverTo(two));
    peer.send('x'.repeat(200_000)).end();
    await settle();
    wire.deliverTo(one);
    await two.when(({ events }) => events.length > 0);
    assert.equal(one.text.length + two.text.length, 200_000);
    assert.deepEqual([one.ownerships.length, one.events, two.events], [1, [], ['end']]);
  });

  promise('a receiver that pauses gets nothing until it resumes, and then all of it', async ({ wire, peer }) => {
    // The second piece and the end have arrived already when the first is delivered.
    const notes = new Acting(() => wire.pause());
    peer.send('x'.repeat(70_000)).end();
    await settle();
    wire.deliverTo(notes);
    for (let pieces = 1; notes.text.length < 70_000; pieces++) {
      await notes.when(({ ownerships }) => ownerships.length === pieces);
      await settle();
      assert.equal(notes.ownerships.length, pieces);
      // A stream with nothing left to read emits its end, whether it is paused or not.
      assert.deepEqual(notes.events, ownership === 'fresh' && notes.text.length === 70_000 ? ['end'] : []);
      wire.resume();
    }
    await notes.when(({ events }) => events.length > 0);
    assert.deepEqual(notes.events, ['end']);
  });

  promise('pausing and going on at any moment loses nothing and changes no order', async ({ wire, peer }) => {
    const pick = numbers(11);
    const hash = createHash('sha1');
    let isPaused = false;
    const notes = new Acting((chunk) => {
      assert.equal(isPaused, false, 'nothing is delivered to a paused receiver');
      hash.update(chunk);
      if (pick(3) > 0) return;
      wire.pause();
      isPaused = true;
      const goOn = () => {
        isPaused = false;
        wire.resume();
      };
      if (pick(3) === 0) goOn();
      else if (pick(2) === 0) queueMicrotask(goOn);
      else setImmediate(goOn);
    });
    wire.deliverTo(notes);
    patternOf(4 * MB).pipe(peer.socket);
    await notes.when(({ events }) => events.length > 0);
    assert.deepEqual([notes.events, hash.digest('hex')], [['end'], hashOfPattern(4 * MB)]);
  });

  promise(`what is read is ${ownership}, or lies in the buffer that was lent`, async ({ wire, peer }) => {
    const lent = Buffer.alloc(64);
    const places: string[] = [];
    const steps = [() => wire.lend(lent), () => undefined, () => wire.lend(undefined), () => undefined];
    const notes = new Acting((chunk) => {
      places.push(chunk.buffer === lent.buffer && chunk.byteOffset === lent.byteOffset ? 'lent' : 'elsewhere');
      steps[places.length - 1]?.();
    });
    wire.deliverTo(notes);
    for (let step = 0; step < steps.length; step++) {
      peer.send(`piece ${step}`);
      await notes.when(({ ownerships }) => ownerships.length === step + 1);
    }
    const isLent = ownership === 'shared';
    assert.deepEqual(notes.ownerships, isLent ? ['shared', 'lent', 'lent', 'shared'] : Array(4).fill(ownership));
    assert.deepEqual(places, isLent ? ['elsewhere', 'lent', 'lent', 'elsewhere'] : Array(4).fill('elsewhere'));
    assert.equal(notes.text, 'piece 0piece 1piece 2piece 3');
  });

  promise('a lent buffer of any size loses nothing, also not the end', async ({ wire, peer }) => {
    const sizes = numbers(5);
    const hash = createHash('sha1');
    const notes = new Acting((chunk) => {
      hash.update(chunk);
      wire.lend(sizes(4) === 0 ? undefined : Buffer.alloc(1_000 + sizes(150_000)));
    });
    wire.deliverTo(notes);
    patternOf(4 * MB).pipe(peer.socket);
    await notes.when(({ events }) => events.length > 0);
    assert.deepEqual([notes.events, hash.digest('hex')], [['end'], hashOfPattern(4 * MB)]);
  });

  promise(
    'an end is reported once, also to a later receiver, and not from within `deliverTo`',
    async ({ wire, peer }) => {
      const [one, two] = [new Notes(), new Notes()];
      wire.deliverTo(one);
      peer.end();
      await one.when(({ events }) => events.length > 0);
      wire.pause();
      wire.resume();
      await settle();
      wire.deliverTo(two);
      assert.deepEqual(two.events, []);
      await two.when(({ events }) => events.length > 0);
      await settle();
      assert.deepEqual([one.events, two.events], [['end'], ['end']]);
    },
  );

  promise('a reset of the peer is a failure with its code, reported once', async ({ wire, peer }) => {
    const [one, two] = [new Notes(), new Notes()];
    wire.deliverTo(one);
    peer.send('last words');
    await one.when(({ text }) => text === 'last words');
    peer.reset();
    await one.when(({ events }) => events.length > 0);
    await settle();
    wire.deliverTo(two);
    await two.when(({ events }) => events.length > 0);
    assert.deepEqual([one.events, two.events], [['failed ECONNRESET'], ['failed ECONNRESET']]);
    assert.equal(wire.stream.destroyed, true);
  });

  promise(
    'the end of the peer leaves the wire writable, and its own end leaves it readable',
    async ({ wire, peer }) => {
      const notes = new Notes();
      wire.deliverTo(notes);
      peer.send('question').end();
      await notes.when(({ events }) => events.length > 0);
      wire.stream.write('an ', 'latin1');
      await peer.until('an ');
      wire.stream.write(Buffer.from('answer'));
      wire.stream.end();
      await peer.until('an answer');
      assert.deepEqual([await peer.ended(), notes.text, notes.events], ['fin', 'question', ['end']]);
    },
  );

  promise('its own end first leaves the wire readable, and both together close', async ({ wire, peer }) => {
    const notes = new Notes();
    let closed = 0;
    wire.stream.once('close', () => closed++);
    wire.deliverTo(notes);
    wire.stream.end();
    assert.equal(wire.stream.writableEnded, true);
    assert.equal(await peer.ended(), 'fin');
    peer.send('an answer');
    await notes.when(({ text }) => text === 'an answer');
    assert.deepEqual([closed, wire.stream.destroyed], [0, false]);
    peer.end();
    await notes.when(({ events }) => events.length > 0);
    await settle();
    assert.deepEqual([closed, wire.stream.destroyed, notes.events], [1, true, ['end']]);
  });

  promise('an end is sent behind all pending writes, and its callback runs once', async ({ wire, peer }) => {
    peer.socket.pause();
    const writes = new Writes();
    for (let piece = 0; piece < 8; piece++)
      wire.stream.write(Buffer.alloc(1_000_000, 65 + piece), writes.as(`${piece}`));
    wire.stream.end(writes.as('end'));
    await settle();
    assert.ok(!writes.results.includes('end'));
    peer.socket.resume();
    assert.equal(await peer.ended(), 'fin');
    await settle();
    assert.deepEqual(writes.results, ['0', '1', '2', '3', '4', '5', '6', '7', 'end']);
    assert.equal(peer.bytesReceived, 8_000_000);
  });

  promise('callbacks of writes and of the end run when the wire is destroyed first', async ({ wire, peer }) => {
    peer.socket.pause();
    const writes = new Writes();
    wire.stream.write(Buffer.alloc(MUCH), writes.as('much'));
    wire.stream.write(Buffer.from('more'), writes.as('more'));
    let ends = 0;
    wire.stream.end(() => ends++);
    await settle();
    assert.deepEqual([writes.results, ends], [[], 0]);
    wire.stream.destroy();
    await settle();
    assert.deepEqual([writes.results, ends], [['much failed', 'more failed'], 1]);
  });

  promise('writes that wait fail when the peer resets, each once and in their order', async ({ wire, peer }) => {
    peer.socket.pause();
    const notes = new Notes();
    wire.deliverTo(notes);
    const writes = new Writes();
    wire.stream.write(Buffer.alloc(MUCH), writes.as('much'));
    wire.stream.write(Buffer.from('more'), writes.as('more'));
    await settle();
    peer.reset();
    await notes.when(({ events }) => events.length > 0);
    await settle();
    assert.deepEqual([writes.results, notes.events.length], [['much failed', 'more failed'], 1]);
    assert.equal(wire.stream.destroyed, true);
  });

  promise('what waits for a slow peer is counted until it is gone, and arrives as it was', async () => {
    const { wire, accepted } = await socketPair(undefined, make);
    const hash = createHash('sha1');
    let isDone = false;
    const pieces: Buffer[] = [];
    for await (const piece of patternOf(MUCH)) pieces.push(piece);
    for (const piece of pieces) wire.stream.write(piece);
    wire.stream.write(Buffer.alloc(0), () => {
      isDone = true;
    });
    await settle();
    assert.ok(wire.stream.writableLength > 0 && wire.stream.writableLength <= MUCH);
    assert.equal(isDone, false);
    let seen = 0;
    const pick = numbers(3);
    for await (const chunk of accepted) {
      hash.update(chunk);
      seen += chunk.length;
      if (pick(20) === 0) await wait(pick(4));
      if (seen === MUCH) break;
    }
    accepted.destroy();
    assert.deepEqual([hash.digest('hex'), wire.stream.writableLength, isDone], [hashOfPattern(MUCH), 0, true]);
    wire.stream.destroy();
  });

  promise('a callback of a write may write and end', async ({ wire, peer }) => {
    peer.socket.pause();
    const writes = new Writes();
    wire.stream.write(Buffer.alloc(MUCH, 'x'), () => {
      writes.as('much')();
      wire.stream.write(Buffer.from('behind'), () => {
        writes.as('behind')();
        wire.stream.end(writes.as('end'));
      });
    });
    await settle();
    peer.socket.resume();
    assert.equal(await peer.ended(), 'fin');
    await settle();
    assert.deepEqual(writes.results, ['much', 'behind', 'end']);
    assert.equal(peer.received.toString('latin1', MUCH), 'behind');
  });

  promise('a callback of a write may destroy, and those behind it fail', async ({ wire, peer }) => {
    peer.socket.pause();
    const writes = new Writes();
    wire.stream.write(Buffer.alloc(MUCH), () => {
      writes.as('much')();
      wire.stream.destroy();
    });
    wire.stream.write(Buffer.alloc(MUCH), writes.as('more'));
    await settle();
    peer.socket.resume();
    await peer.ended();
    await settle();
    assert.deepEqual([writes.results, wire.stream.destroyed], [['much', 'more failed'], true]);
  });

  promise('to write behind an end or a close is an error for the callback only', async ({ wire, peer }) => {
    const writes = new Writes();
    wire.stream.end();
    wire.stream.write(Buffer.from('late'), writes.as('late'));
    wire.stream.write('late', 'latin1');
    await settle();
    wire.stream.destroy();
    wire.stream.write(Buffer.from('too late'), writes.as('too late'));
    wire.stream.write('too late', 'latin1');
    wire.stream.end();
    await settle();
    assert.deepEqual(writes.results, ['late failed', 'too late failed']);
    assert.equal(peer.bytesReceived, 0);
  });

  promise('nothing is delivered behind a destroy, which its receiver learns of once', async ({ wire, peer }) => {
    let closed = 0;
    wire.stream.once('close', () => closed++);
    const notes = new Acting(() => wire.stream.destroy());
    peer.send('x'.repeat(200_000)).end();
    await settle();
    wire.deliverTo(notes);
    await notes.when(({ events }) => events.length > 0);
    wire.stream.destroy();
    await settle();
    assert.deepEqual([notes.ownerships.length, notes.events, closed], [1, ['failed ECONNRESET'], 1]);
    assert.equal(wire.stream.destroyed, true);
  });

  promise('what was held for one that paused is not delivered behind a destroy', async ({ wire, peer }) => {
    const notes = new Acting(() => wire.pause());
    peer.send('some').end();
    await settle();
    wire.deliverTo(notes);
    await notes.when(({ text }) => text !== '');
    await settle();
    wire.resume();
    wire.stream.destroy();
    await settle();
    assert.deepEqual([notes.text, notes.events.length], ['some', 1]);
  });

  promise(`a reset reaches the peer as a ${reset}, also with bytes unsent and unread`, async () => {
    for (const before of ['nothing', 'unsent', 'unread', 'an end'] as const) {
      await using pair = await wirePair(undefined, make);
      const { wire, peer } = pair;
      if (before === 'unsent') {
        peer.socket.pause();
        wire.stream.write(Buffer.alloc(MUCH));
      }
      if (before === 'unread') peer.send('never read');
      if (before === 'an end') wire.stream.end();
      await settle();
      wire.reset();
      wire.reset();
      peer.socket.resume();
      // Who has read an end reads no more, and does not see what comes behind it.
      const expected = before === 'an end' ? 'fin' : reset;
      await peer.when(({ ending }) => ending === expected, `${expected} with ${before}`);
      assert.equal(wire.stream.destroyed, true);
    }
  });

  if (asStream === 'a new one') {
    promise('as a stream it has first what was read and not delivered', async ({ wire, peer }) => {
      const notes = new Acting(() => wire.deliverTo(undefined));
      peer.send('x'.repeat(70_000));
      await settle();
      wire.deliverTo(notes);
      await notes.when(({ text }) => text !== '');
      const stream = wire.toDuplex();
      assert.equal(wire.toDuplex(), stream);
      let rest = '';
      stream.on('data', (chunk: Buffer) => {
        rest += chunk.toString('latin1');
      });
      peer.send('y').end();
      await once(stream, 'end');
      assert.equal(notes.text + rest, `${'x'.repeat(70_000)}y`);
      stream.write('answer');
      stream.end();
      await peer.until('answer');
      assert.equal(await peer.ended(), 'fin');
    });

    promise('as a stream it sends first what was written before', async ({ wire, peer }) => {
      peer.socket.pause();
      const writes = new Writes();
      wire.stream.write(Buffer.alloc(MUCH, 'x'), writes.as('much'));
      await settle();
      const stream = wire.toDuplex();
      stream.end('last');
      peer.socket.resume();
      assert.equal(await peer.ended(), 'fin');
      assert.equal(peer.received.toString('latin1', MUCH), 'last');
      assert.deepEqual(writes.results, ['much']);
    });

    promise(
      'as a stream it closes as such, and an error there without a listener is not thrown',
      async ({ wire, peer }) => {
        let closed = 0;
        wire.stream.once('close', () => closed++);
        const stream = wire.toDuplex();
        await settle();
        assert.deepEqual([closed, wire.stream.destroyed], [0, false]);
        stream.resume();
        peer.reset();
        await once(stream, 'close').catch(() => undefined);
        await settle();
        assert.deepEqual([closed, wire.stream.destroyed], [1, true]);
      },
    );
  }

  promise('of one that is closed the stream is closed', async ({ wire }) => {
    wire.stream.destroy();
    await settle();
    assert.equal(wire.toDuplex().destroyed, true);
    await settle();
  });

  promise('with any calls at any moment, each write is answered once and a close reported once', async () => {
    const pick = numbers(2_024);
    const one = async () => {
      await using pair = await wirePair(undefined, make);
      const { wire, peer } = pair;
      const { stream } = wire;
      const answers: number[] = [];
      let [closes, ends, endsAsked] = [0, 0, 0];
      stream.once('close', () => closes++);
      const acts = [
        () => wire.pause(),
        () => wire.resume(),
        () => wire.lend(pick(2) === 0 ? undefined : Buffer.alloc(1 + pick(100_000))),
        () => write(),
        () => write(),
        () => {
          endsAsked += 1;
          stream.end(() => ends++);
        },
        () => peer.end(),
        () => wire.deliverTo(receiver),
        () => stream.destroy(),
        () => wire.reset(),
        () => resetSocket(peer.socket),
      ];
      // The first ones are common, the last ones rare.
      const act = () => acts[pick(4) === 0 ? pick(acts.length) : pick(5)]?.();
      const write = () => {
        const which = answers.push(0) - 1;
        stream.write(Buffer.alloc(pick([10, 1_000, 300_000][pick(3)] ?? 1)), () => {
          answers[which] = (answers[which] ?? 0) + 1;
          if (pick(3) === 0) act();
        });
      };
      let isOver = false;
      const receiver: Receiver = {
        bytes: () => {
          assert.equal(isOver, false, 'bytes behind the end');
          if (pick(2) === 0) act();
        },
        end: () => {
          isOver = true;
        },
        failed: () => {
          isOver = true;
        },
      };
      wire.deliverTo(receiver);
      for (let steps = 0; steps < 20; steps++) {
        if (pick(2) === 0 && !peer.socket.writableEnded) peer.send(Buffer.alloc(1 + pick(50_000)));
        act();
        if (pick(2) === 0) await nextTurn();
      }
      stream.destroy();
      await settle();
      assert.ok(
        answers.every((times) => times === 1),
        `writes were answered ${answers} times`,
      );
      assert.equal(closes, 1);
      // Node's streams now and then do not call back for the end of one that is destroyed.
      if (asStream === 'a new one') assert.equal(ends, endsAsked);
    };
    for (let begun = 0; begun < 200; begun += 20) await Promise.all(Array.from({ length: 20 }, one));
  });

  promise('500 at once, each with what is its own', async () => {
    const pick = numbers(77);
    const one = async (which: number) => {
      await using pair = await wirePair(undefined, make);
      const { wire, peer } = pair;
      const size = pick([10, 1_000, 100_000][pick(3)] ?? 1);
      const text = String.fromCharCode(65 + (which % 26)).repeat(size);
      const echo: Receiver = {
        bytes: (chunk) => void wire.stream.write(Buffer.from(chunk)),
        end: () => void wire.stream.end(),
        failed: () => undefined,
      };
      wire.deliverTo(echo);
      peer.send(text).end();
      assert.equal(await peer.ended(), 'fin');
      assert.ok(peer.text === text, `${size} bytes came back as ${peer.bytesReceived}`);
    };
    for (let begun = 0; begun < 500; begun += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, which) => one(begun + which)));
    }
  });

  promise('interactive traffic is not delayed by eight bulk transfers', async ({ wire, peer }) => {
    await using greedy = new AsyncDisposableStack();
    let before = 0;
    const wires: Wire[] = [];
    for (let count = 0; count < 8; count++) {
      const one = greedy.use(await wirePair(undefined, make));
      one.peer.send(Buffer.alloc(4 * MB));
      wires.push(one.wire);
    }
    peer.send('a word');
    await settle();
    for (const one of wires) {
      one.deliverTo({
        bytes: (chunk) => {
          before += chunk.length;
        },
        end: () => undefined,
        failed: () => undefined,
      });
    }
    const notes = new Notes();
    wire.deliverTo(notes);
    await notes.when(({ text }) => text === 'a word');
    // Each of the others may have been read once or twice.
    assert.ok(before <= 2 * 8 * 131_072, `${before} bytes came first`);
  });
}
