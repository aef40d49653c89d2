import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { Connection } from '../../contracts/stages.ts';
import { ATTEMPT_DELAY_MS, interleave, race } from './race.ts';

test('families take turns, beginning with the one that the resolver put first', () => {
  assert.deepEqual(interleave(['::1', '::2', '1.1.1.1', '::3', '2.2.2.2']), [
    '::1',
    '1.1.1.1',
    '::2',
    '2.2.2.2',
    '::3',
  ]);
  assert.deepEqual(interleave(['1.1.1.1', '::1', '::2']), ['1.1.1.1', '::1', '::2']);
  assert.deepEqual(interleave(['1.1.1.1', '2.2.2.2']), ['1.1.1.1', '2.2.2.2']);
  assert.deepEqual(interleave([]), []);
});

/** Attempts in a test's hands. */
class Attempts {
  readonly begun: string[] = [];
  readonly closed: string[] = [];
  readonly #settle = new Map<string, { win: () => void; lose: (error: Error) => void; signal: AbortSignal }>();

  readonly open = (address: string, attempt: number, signal: AbortSignal): Promise<Connection> => {
    this.begun.push(`${attempt} ${address}`);
    return new Promise((resolve, reject) => {
      this.#settle.set(address, { win: () => resolve(this.#connection(address)), lose: reject, signal });
    });
  };

  win(address: string): void {
    this.#settle.get(address)?.win();
  }

  lose(address: string): ProxyError {
    const error = new ProxyError('connection_refused', address);
    this.#settle.get(address)?.lose(error);
    return error;
  }

  isAborted(address: string): boolean {
    return this.#settle.get(address)?.signal.aborted === true;
  }

  #connection(address: string): Connection {
    const never = (): never => {
      throw new Error('the test reads nothing');
    };
    return {
      get wire() {
        return never();
      },
      early: Buffer.alloc(0),
      address,
      [Symbol.dispose]: () => void this.closed.push(address),
    };
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const signal = new AbortController().signal;

test('a failure begins the next attempt at once; the one that connects wins', async () => {
  const attempts = new Attempts();
  const racing = race({ addresses: ['a', 'b', 'c'], signal, clock: new ManualClock(), open: attempts.open });
  attempts.lose('a');
  await turn();
  assert.deepEqual(attempts.begun, ['1 a', '2 b']);
  attempts.win('b');
  assert.equal((await racing).address, 'b');
  assert.deepEqual([attempts.isAborted('b'), attempts.closed], [true, []]);
});

test('all failures are the first one, that of the address which the resolver liked best', async () => {
  const attempts = new Attempts();
  const racing = race({ addresses: ['a', 'b'], signal, clock: new ManualClock(), open: attempts.open });
  const first = attempts.lose('a');
  await turn();
  attempts.lose('b');
  await assert.rejects(racing, (error) => error === first);
});

test('the next attempt begins after 250 ms while the one before keeps running, and may still win', async () => {
  const attempts = new Attempts();
  const clock = new ManualClock();
  const racing = race({ addresses: ['a', 'b'], signal, clock, open: attempts.open });
  clock.advance(ATTEMPT_DELAY_MS - 1);
  assert.deepEqual(attempts.begun, ['1 a']);
  clock.advance(1);
  assert.deepEqual(attempts.begun, ['1 a', '2 b']);
  assert.equal(attempts.isAborted('a'), false);
  attempts.lose('b');
  await turn();
  attempts.win('a');
  assert.equal((await racing).address, 'a');
});

test('of two that connect in the same turn one is closed', async () => {
  const attempts = new Attempts();
  const clock = new ManualClock();
  const racing = race({ addresses: ['a', 'b'], signal, clock, open: attempts.open });
  clock.advance(ATTEMPT_DELAY_MS);
  attempts.win('a');
  attempts.win('b');
  assert.equal((await racing).address, 'a');
  await turn();
  assert.deepEqual(attempts.closed, ['b']);
});

test('an abort ends all attempts with its reason, and begins no other', async () => {
  const abort = new AbortController();
  const attempts = new Attempts();
  const racing = race({ addresses: ['a', 'b'], signal: abort.signal, clock: new ManualClock(), open: attempts.open });
  const reason = new ProxyError('client_gone', 'test');
  abort.abort(reason);
  await assert.rejects(racing, (error) => error === reason);
  attempts.lose('a');
  await turn();
  assert.deepEqual([attempts.begun, attempts.isAborted('a')], [['1 a'], true]);
});
