import assert from 'node:assert/strict';
import { test } from 'node:test';
import { abortSignalOf, Stop } from './stop.ts';

test('every listener is called once, in order, and can read the reason', () => {
  const stop = new Stop();
  const calls: string[] = [];
  stop.addEventListener('abort', () => calls.push(`first: ${stop.reason}`));
  stop.addEventListener('abort', { handleEvent: () => calls.push('second') });
  stop.addEventListener('abort', () => calls.push('third'));
  stop.abort('over');
  stop.abort('again');
  assert.deepEqual(calls, ['first: over', 'second', 'third']);
  assert.equal(stop.aborted, true);
  assert.equal(stop.reason, 'over');
});

test('a listener that was removed is not called, at every position', () => {
  for (const leaver of [0, 1, 2]) {
    const stop = new Stop();
    const calls: number[] = [];
    const listeners = [0, 1, 2].map((nth) => () => void calls.push(nth));
    for (const listener of listeners) stop.addEventListener('abort', listener);
    for (const [nth, listener] of listeners.entries()) if (nth === leaver) stop.removeEventListener('abort', listener);
    stop.abort(undefined);
    assert.deepEqual(
      calls,
      [0, 1, 2].filter((nth) => nth !== leaver),
    );
  }
});

test('a listener that another listener removes is not called', () => {
  const stop = new Stop();
  const last = () => assert.fail('called though it was removed');
  stop.addEventListener('abort', () => undefined);
  stop.addEventListener('abort', () => stop.removeEventListener('abort', last));
  stop.addEventListener('abort', last);
  stop.abort('over');
});

test('a listener that is added twice is called once, and is gone when it is removed', () => {
  const stop = new Stop();
  let calls = 0;
  const first = () => void calls++;
  const second = () => void calls++;
  for (const listener of [first, second, first, second]) stop.addEventListener('abort', listener);
  stop.removeEventListener('abort', second);
  stop.abort(undefined);
  assert.equal(calls, 1);
});

test('after the abort no listener is called', () => {
  const stop = new Stop();
  stop.abort('over');
  stop.addEventListener('abort', () => assert.fail('called too late'));
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
