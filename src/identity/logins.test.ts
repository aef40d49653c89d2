import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { ProxyError } from '../contracts/failure.ts';
import { Stop } from '../util/stop.ts';
import type { Verify } from './basic.ts';
import { FREE_FAILURES } from './failures.ts';
import { ACCEPTED_MAX, Logins, REFUSED_MAX, REFUSED_MS, UNUSED_MS_MAX } from './logins.ts';
import type { Users } from './users.ts';

/** Users whose passwords are known, and what was compared with them. Each comparison waits until the test lets it go on. */
class World {
  readonly clock = new ManualClock();
  readonly logins = new Logins(this.clock);
  readonly compared: string[] = [];
  readonly #held: (() => void)[] = [];
  isHolding = false;

  /** `password` is what is right for all of them; another `text` is another hash. */
  users(names: readonly string[], password = 'right', text = 'hash'): Users {
    return new Map(
      names.map((name) => {
        const verify = async (given: string) => {
          this.compared.push(`${name}:${given}`);
          if (this.isHolding) await new Promise<void>((resolve) => this.#held.push(resolve));
          return given === password;
        };
        return [name, { text, costUs: 1, verify }];
      }),
    );
  }

  /** Lets the comparison that was begun first go on. */
  async letGo(): Promise<void> {
    this.#held.shift()?.();
    await nextTurn();
  }
}

const from = (address: string, signal = new Stop()) => ({
  client: { address, port: 1, listener: 'http://127.0.0.1:3128' },
  signal,
});
const at = async (verify: Verify, username: string, password: string, address = '192.0.2.1') =>
  (await verify({ username, password }, from(address)))?.id ?? null;

describe('a right pair', () => {
  test('stays known while it is used, however long', async () => {
    const world = new World();
    const verify = world.logins.verifier(world.users(['a']));
    for (let turn = 0; turn < 5; turn++) {
      assert.equal(await at(verify, 'a', 'right'), 'a');
      world.clock.advance(UNUSED_MS_MAX - 1);
    }
    assert.deepEqual(world.compared, ['a:right']);
    world.clock.advance(1);
    assert.equal(await at(verify, 'a', 'right'), 'a');
    assert.deepEqual(world.compared, ['a:right', 'a:right']);
  });

  test('is answered at once, also from an address that has failed again and again', async () => {
    const world = new World();
    const verify = world.logins.verifier(world.users(['a']));
    await at(verify, 'a', 'right');
    world.isHolding = true;
    const guesses = Array.from({ length: 9 }, (_, guess) => at(verify, 'a', `guess ${guess}`));
    assert.deepEqual(verify({ username: 'a', password: 'right' }, from('192.0.2.1')), { id: 'a' });
    for (const _ of guesses) {
      await world.letGo();
      world.clock.advance(5_000);
      await nextTurn();
    }
    assert.deepEqual(await Promise.all(guesses), new Array(9).fill(null));
  });

  test('outlives a reload that leaves its hash, and no other', async () => {
    const world = new World();
    assert.equal(await at(world.logins.verifier(world.users(['a'])), 'a', 'right'), 'a');
    assert.equal(await at(world.logins.verifier(world.users(['a', 'b'])), 'a', 'right'), 'a');
    assert.deepEqual(world.compared, ['a:right']);
    const changed = world.logins.verifier(world.users(['a'], 'other', 'other hash'));
    assert.equal(await at(changed, 'a', 'right'), null);
    assert.equal(await at(changed, 'a', 'other'), 'a');
    assert.equal(await at(world.logins.verifier(world.users(['b'])), 'a', 'other'), null);
  });

  test('is compared ahead of all unknown ones when it has to be compared again', async () => {
    const world = new World();
    await at(world.logins.verifier(world.users(['a'])), 'a', 'right');
    world.compared.length = 0;
    world.isHolding = true;
    const verify = world.logins.verifier(world.users(['a'], 'right', 'another salt'));
    const guesses = Array.from({ length: 20 }, (_, guess) => at(verify, 'a', 'guess', `198.51.100.${guess}`));
    const known = at(verify, 'a', 'right');
    await nextTurn();
    assert.deepEqual(world.compared, ['a:guess', 'a:guess', 'a:right']);
    for (const _ of [...guesses, known]) await world.letGo();
    assert.equal(await known, 'a');
    await Promise.all(guesses);
  });

  test('belongs to one name and one password', async () => {
    const world = new World();
    const verify = world.logins.verifier(world.users(['a', 'ar', 'b']));
    assert.equal(await at(verify, 'a', 'right'), 'a');
    for (const [name, password] of [
      ['a', 'righ'],
      ['ar', 'ight'],
      ['A', 'right'],
    ] as const) {
      assert.equal(await at(verify, name, password), null);
    }
    assert.equal(await at(verify, 'b', 'right'), 'b');
  });

  test('is not pushed out by guesses', async () => {
    const world = new World();
    const verify = world.logins.verifier(world.users(['a']));
    await at(verify, 'a', 'right');
    for (let guess = 0; guess <= REFUSED_MAX; guess++)
      await at(verify, 'a', 'guess', `2001:db8:0:${guess.toString(16)}::1`);
    for (let guess = 0; guess <= REFUSED_MAX; guess++) await at(verify, `unknown ${guess}`, 'guess');
    world.compared.length = 0;
    assert.equal(await at(verify, 'a', 'right'), 'a');
    assert.deepEqual(world.compared, []);
    assert.ok(ACCEPTED_MAX >= 1000);
  });
});

describe('a wrong pair', () => {
  test('is compared once in a minute, until its user has another hash', async () => {
    const world = new World();
    const verify = world.logins.verifier(world.users(['a']));
    for (let turn = 0; turn < 3; turn++) assert.equal(await at(verify, 'a', 'wrong'), null);
    assert.deepEqual(world.compared, ['a:wrong']);
    world.clock.advance(REFUSED_MS);
    assert.equal(await at(verify, 'a', 'wrong'), null);
    assert.deepEqual(world.compared, ['a:wrong', 'a:wrong']);
    assert.equal(await at(world.logins.verifier(world.users(['a'], 'wrong', 'other hash')), 'a', 'wrong'), 'a');
  });

  test('makes the next attempt of this user at this address wait, longer each time, and no other attempt', async () => {
    const world = new World();
    const verify = world.logins.verifier(world.users(['a', 'b']));
    const waits: number[] = [];
    for (let guess = 0; guess < 80; guess++) {
      let isAnswered = false;
      const answer = at(verify, 'a', `guess ${guess}`).then(() => (isAnswered = true));
      await nextTurn();
      let waitedMs = 0;
      for (; !isAnswered; waitedMs += 100) await world.clock.pass(100);
      waits.push(waitedMs);
      await answer;
    }
    assert.deepEqual(waits.slice(0, FREE_FAILURES + 1), new Array(FREE_FAILURES + 1).fill(0));
    assert.deepEqual(waits.slice(FREE_FAILURES + 1, FREE_FAILURES + 4), [100, 200, 300]);
    assert.equal(Math.max(...waits), 5_000);
    assert.equal(await at(verify, 'a', 'right', '192.0.2.2'), 'a', 'from another address');
    assert.equal(await at(verify, 'b', 'right'), 'b', 'another user at the same address');
    assert.equal(await at(verify, 'b', 'wrong'), null);
    assert.equal(world.clock.pending, 0);
  });

  test('that is sent again waits like another one', async () => {
    const world = new World();
    const verify = world.logins.verifier(world.users(['a']));
    for (let turn = 0; turn <= FREE_FAILURES; turn++) await at(verify, 'a', 'stale');
    let isAnswered = false;
    const answer = at(verify, 'a', 'stale').then(() => (isAnswered = true));
    await nextTurn();
    assert.equal(isAnswered, false);
    await world.clock.pass(100);
    await answer;
    assert.deepEqual(world.compared, ['a:stale']);
  });

  test('counts no more once the user has logged in from there, or after a while', async () => {
    const world = new World();
    const verify = world.logins.verifier(world.users(['a']));
    const failTimes = async (times: number) => {
      for (let guess = 0; guess < times; guess++) await at(verify, 'a', `guess ${guess}`);
    };
    await failTimes(FREE_FAILURES);
    assert.equal(await at(verify, 'a', 'right'), 'a');
    await failTimes(FREE_FAILURES + 1);
    world.clock.advance(10 * 60_000);
    await failTimes(FREE_FAILURES + 1);
  });
});

describe('requests', () => {
  test('with the same pair from one client share one comparison', async () => {
    const world = new World();
    const verify = world.logins.verifier(world.users(['a']));
    const answers = await Promise.all(Array.from({ length: 100 }, () => at(verify, 'a', 'right')));
    assert.deepEqual([...new Set(answers)], ['a']);
    assert.deepEqual(world.compared, ['a:right']);
  });

  test('that have gone are not compared, unless another one waits for the same', async () => {
    const world = new World();
    world.isHolding = true;
    const verify = world.logins.verifier(world.users(['a']));
    const busy = ['192.0.2.8', '192.0.2.9'].map((address) => at(verify, 'a', 'busy', address));
    const gone = new ProxyError('client_gone', 'test');
    const [alone, left] = [new Stop(), new Stop()];
    const leaving = verify({ username: 'a', password: 'of one' }, from('192.0.2.1', alone));
    const leavingTwo = verify({ username: 'a', password: 'of two' }, from('192.0.2.1', left));
    const staying = at(verify, 'a', 'of two');
    alone.abort(gone);
    left.abort(gone);
    await assert.rejects(async () => leaving, gone);
    for (let turn = 0; turn < 3; turn++) await world.letGo();
    assert.equal(await staying, null);
    await assert.doesNotReject(async () => leavingTwo);
    await Promise.all(busy);
    assert.deepEqual(world.compared, ['a:busy', 'a:busy', 'a:of two']);
    world.isHolding = false;
    assert.equal(await at(verify, 'a', 'of one'), null);
    assert.equal(world.compared.at(-1), 'a:of one');
  });

  test('are not answered from a comparison that failed', async () => {
    const logins = new Logins(new ManualClock());
    let calls = 0;
    const verify = logins.verifier(
      new Map([
        [
          'a',
          {
            text: 'hash',
            costUs: 1,
            verify: async () => {
              calls += 1;
              throw new Error('test');
            },
          },
        ],
      ]),
    );
    for (let turn = 1; turn <= 10; turn++) {
      await assert.rejects(at(verify, 'a', 'b'), /test/);
      assert.equal(calls, turn);
    }
  });
});
