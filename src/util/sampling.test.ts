import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sampling } from './sampling.ts';

const takenOf = (sampling: Sampling, times: readonly number[]): number =>
  times.filter((nowMs) => sampling.take(nowMs)).length;

test('a burst as large as the bound belongs to the sample, and no more of it', () => {
  const sampling = new Sampling(500);
  assert.equal(takenOf(sampling, new Array(1_000).fill(7)), 500);
});

test('after the burst as many a second belong to it as the bound says', () => {
  const sampling = new Sampling(500);
  takenOf(sampling, new Array(1_000).fill(0));
  const tenSeconds = Array.from({ length: 100_000 }, (_, at) => at / 10);
  const taken = takenOf(sampling, tenSeconds);
  assert.ok(taken >= 4_995 && taken <= 5_000, `${taken}`);
});

test('a slow series belongs to it as a whole', () => {
  const sampling = new Sampling(2);
  assert.equal(
    takenOf(
      sampling,
      Array.from({ length: 50 }, (_, at) => at * 500),
    ),
    50,
  );
});
