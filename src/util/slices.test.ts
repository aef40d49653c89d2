import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { atOnce, inSlices, type Sliced } from './slices.ts';

test('work goes on in slices of 2 ms, and other work of the event loop runs between them', async () => {
  const clock = new ManualClock();
  const done: string[] = [];
  function* work(): Sliced<string> {
    for (let step = 1; step <= 6; step++) {
      clock.sleep(1);
      done.push(`step ${step}`);
      yield;
    }
    return 'result';
  }
  let isOver = false;
  const others = (): void => {
    if (isOver) return;
    done.push('others');
    setImmediate(others);
  };
  setImmediate(others);
  const result = await inSlices(work(), clock);
  isOver = true;
  assert.equal(result, 'result');
  assert.deepEqual(
    done.filter((one, at) => one !== 'others' || done[at - 1] !== 'others'),
    ['step 1', 'step 2', 'others', 'step 3', 'step 4', 'others', 'step 5', 'step 6', 'others'],
  );
});

test('the same work can be done at once', () => {
  function* work(): Sliced<number> {
    let sum = 0;
    for (let step = 1; step <= 10; step++) {
      sum += step;
      yield;
    }
    return sum;
  }
  assert.equal(atOnce(work()), 55);
});

test('what the work throws is thrown', async () => {
  function* work(): Sliced<void> {
    yield;
    throw new Error('no');
  }
  assert.throws(() => atOnce(work()), /^Error: no$/);
  await assert.rejects(inSlices(work(), new ManualClock()), /^Error: no$/);
});
