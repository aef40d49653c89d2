import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FillRate, TokenBucket } from './token-bucket.ts';

test('begins full, fills at its rate, and holds no more than its burst', () => {
  const bucket = new TokenBucket(new FillRate(1_000, 50), 0);
  assert.equal(bucket.level, 50);
  bucket.take(50);
  assert.equal(bucket.readyMs(20), 20);
  assert.equal(bucket.isFull(49), false);
  assert.equal(bucket.isFull(50), true);
  assert.equal(bucket.isFull(10_000), true);
  assert.equal(bucket.level, 50);
});

test('without a burst holds 200 ms of its rate, and never less than one token', () => {
  assert.equal(new FillRate(1_000).burst, 200);
  assert.equal(new FillRate(1).burst, 1);
});

test('fills for 100 ms while takers wait, and holds only the burst some time after the last wait', () => {
  const bucket = new TokenBucket(new FillRate(1_000, 10), 0);
  bucket.take(10);
  bucket.fill(80, 1);
  assert.equal(bucket.level, 80, 'a late timer loses nothing');
  bucket.fill(300, 1);
  assert.equal(bucket.level, 100);
  bucket.fill(320);
  assert.equal(bucket.level, 100, 'a taker may be about to take again');
  bucket.fill(321);
  assert.equal(bucket.level, 10);
});

test('a changed rate applies from its time on and keeps what is there', () => {
  const bucket = new TokenBucket(new FillRate(1_000, 100), 0);
  bucket.take(100);
  bucket.setRate(new FillRate(2_000, 100), 10);
  assert.equal(bucket.level, 10);
  bucket.fill(20);
  assert.equal(bucket.level, 30);
  bucket.setRate(new FillRate(2_000, 5), 20);
  assert.equal(bucket.level, 5);
  bucket.refund(100, 20);
  assert.equal(bucket.level, 5);
});

test('a clock that does not move adds nothing', () => {
  const bucket = new TokenBucket(new FillRate(1_000, 100), 5);
  bucket.take(60);
  bucket.fill(5);
  bucket.fill(4);
  assert.equal(bucket.level, 40);
});
