import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Place, Places } from './places.ts';

/** A connection that may be closed for another one. */
class Connection {
  readonly place = new Place<Connection>();
  readonly name: string;
  isOpen = true;

  constructor(name: string) {
    this.name = name;
    this.place.of = this;
  }
}

/** All places of a process, and who has been given one. */
class World {
  readonly places: Places<Connection>;
  readonly all: Connection[] = [];

  constructor(max: number) {
    this.places = new Places(max);
  }

  /** One more connection, or why there is no place for it. */
  come(block: string): Connection | string {
    const space = this.places.makePlace(block);
    if (space.at === 'none') return space.why;
    if (space.at === 'evicted') (space.place.of ?? assert.fail()).isOpen = false;
    const connection = new Connection(`${block}${this.all.length}`);
    this.all.push(connection);
    this.places.take(connection.place, block);
    return connection;
  }

  mustCome(block: string): Connection {
    const come = this.come(block);
    assert.ok(come instanceof Connection, `${block}: ${String(come)}`);
    return come;
  }

  crowd(block: string, count: number): Connection[] {
    return Array.from({ length: count }, () => this.mustCome(block));
  }

  get closed(): string[] {
    return this.all.filter(({ isOpen }) => !isOpen).map(({ name }) => name);
  }
}

test('one client has seven eighths of the places at most, and the others have the rest', () => {
  const world = new World(16);
  const crowd = world.crowd('a', 14);
  assert.equal(world.come('a'), 'share-taken');
  world.crowd('b', 2);
  assert.deepEqual([world.places.taken, world.closed], [16, []]);
  const [first] = crowd;
  world.places.release(first?.place ?? assert.fail());
  world.mustCome('a');
});

test('when all places are taken, the client that has most gives up what has been idle longest', () => {
  const world = new World(16);
  const [busy] = world.crowd('a', 10);
  world.crowd('b', 6);
  busy?.place.markBusy();
  world.mustCome('c');
  assert.deepEqual(world.closed, ['a1']);
  world.crowd('c', 3);
  // Now a and b have six each.
  assert.deepEqual(world.closed, ['a1', 'a2', 'a3', 'a4']);
});

test('what has a request or a tunnel is never closed', () => {
  const world = new World(8);
  for (const connection of [...world.crowd('a', 7), ...world.crowd('b', 1)]) connection.place.markBusy();
  assert.equal(world.come('c'), 'all-taken');
  assert.deepEqual(world.closed, []);
});

test('where the one that has most is busy, the next one gives up something, but not for one that has more', () => {
  const world = new World(16);
  for (const connection of world.crowd('a', 10)) connection.place.markBusy();
  world.crowd('b', 6);
  assert.equal(world.come('a'), 'all-taken');
  world.mustCome('c');
  assert.deepEqual(world.closed, ['b10']);
});

test('a client that has all it may have closes its own that wait for another request, not what has sent nothing yet', () => {
  const world = new World(16);
  const [one, two] = world.crowd('a', 14);
  assert.equal(world.come('a'), 'share-taken');
  for (const connection of [two, one]) {
    connection?.place.markBusy();
    connection?.place.markIdle();
  }
  world.mustCome('a');
  assert.deepEqual(world.closed, ['a1']);
});

test('a connection that is closed for another one gives its place back once', () => {
  const world = new World(8);
  const [idle] = world.crowd('a', 7);
  world.crowd('b', 1);
  world.mustCome('c');
  assert.equal(idle?.isOpen, false);
  // What still happens to it before its socket has closed changes nothing.
  idle?.place.markBusy();
  idle?.place.markIdle();
  world.places.release(idle?.place ?? assert.fail());
  assert.equal(world.places.taken, 8);
});

test('however connections open, idle, work and close: places are counted right, and a new one gets a place while any is idle', () => {
  const steps = fc.array(
    fc.tuple(fc.constantFrom('come', 'work', 'rest', 'go'), fc.constantFrom('a', 'b', 'c', 'd'), fc.nat(100)),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(steps, (all) => {
      const world = new World(8);
      const there: { block: string; of: Connection }[] = [];
      const open = () => there.filter(({ of }) => of.isOpen);
      const held = (block: string) => open().filter((one) => one.block === block).length;
      for (const [what, block, pick] of all) {
        const chosen = open()[pick % Math.max(1, open().length)];
        if (what === 'come') {
          const before = new Map(['a', 'b', 'c', 'd'].map((name) => [name, held(name)]));
          const idleOnes = open().filter(({ of }) => of.place.activity !== 'busy');
          const come = world.come(block);
          const own = before.get(block) ?? 0;
          if (come instanceof Connection) there.push({ block, of: come });
          else if (come === 'all-taken') {
            assert.ok(idleOnes.every((one) => (before.get(one.block) ?? 0) < own));
          } else assert.equal(own, 7);
        } else if (what === 'work') chosen?.of.place.markBusy();
        else if (what === 'rest') chosen?.of.place.markIdle();
        else if (chosen !== undefined) {
          chosen.of.isOpen = false;
          world.places.release(chosen.of.place);
        }
        assert.equal(world.places.taken, open().length);
        assert.ok(open().length <= 8);
        for (const name of ['a', 'b', 'c', 'd']) assert.ok(held(name) <= 7);
      }
    }),
  );
});
