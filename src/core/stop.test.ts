import assert from 'node:assert/strict';
import { test } from 'node:test';
import { abortSignalOf, Stop } from './stop.ts';

test('everyone who listens is told once, in order, and can read why', () => {
  const stop = new Stop();
  const told: string[] = [];
  stop.addEventListener('abort', () => told.push(`first: ${stop.reason}`));
  stop.addEventListener('abort', { handleEvent: () => told.push('second') });
  stop.addEventListener('abort', () => told.push('third'));
  stop.abort('over');
  stop.abort('again');
  assert.deepEqual(told, ['first: over', 'second', 'third']);
  assert.equal(stop.aborted, true);
  assert.equal(stop.reason, 'over');
});

test('who has left is not told, whoever came before or after', () => {
  for (const leaver of [0, 1, 2]) {
    const stop = new Stop();
    const told: number[] = [];
    const listeners = [0, 1, 2].map((nth) => () => void told.push(nth));
    for (const listener of listeners) stop.addEventListener('abort', listener);
    for (const [nth, listener] of listeners.entries()) if (nth === leaver) stop.removeEventListener('abort', listener);
    stop.abort(undefined);
    assert.deepEqual(
      told,
      [0, 1, 2].filter((nth) => nth !== leaver),
    );
  }
});

test('who leaves because of the end is not told of it', () => {
  const stop = new Stop();
  const last = () => assert.fail('told though it had left');
  stop.addEventListener('abort', () => undefined);
  stop.addEventListener('abort', () => stop.removeEventListener('abort', last));
  stop.addEventListener('abort', last);
  stop.abort('over');
});

test('a listener that is added twice is told once, and is gone when it is removed', () => {
  const stop = new Stop();
  let told = 0;
  const first = () => void told++;
  const second = () => void told++;
  for (const listener of [first, second, first, second]) stop.addEventListener('abort', listener);
  stop.removeEventListener('abort', second);
  stop.abort(undefined);
  assert.equal(told, 1);
});

test('after the end nobody is told any more', () => {
  const stop = new Stop();
  stop.abort('over');
  stop.addEventListener('abort', () => assert.fail('told too late'));
  stop.abort('again');
});

test('programs get an AbortSignal, the same one each time, before the end and after it', () => {
  for (const when of ['before', 'after']) {
    const stop = new Stop();
    if (when === 'after') stop.abort('over');
    const signal = abortSignalOf(stop);
    assert.ok(signal instanceof AbortSignal);
    assert.equal(abortSignalOf(stop), signal);
    stop.abort('over');
    assert.equal(signal.aborted, true);
    assert.equal(signal.reason, 'over');
  }
  const { signal } = new AbortController();
  assert.equal(abortSignalOf(signal), signal);
});
