import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { ClientNames } from './client-names.ts';

/** Lookups that the test answers. */
function names() {
  const clock = new ManualClock();
  const asked: string[] = [];
  const pending = new Map<string, PromiseWithResolvers<readonly string[]>>();
  const found = new ClientNames(clock, (address) => {
    asked.push(address);
    const answer = Promise.withResolvers<readonly string[]>();
    pending.set(address, answer);
    return answer.promise;
  });
  const answer = async (address: string, ...given: string[]) => {
    if (given.length === 0) pending.get(address)?.reject(new Error('ENOTFOUND'));
    else pending.get(address)?.resolve(given);
    await clock.pass(0);
  };
  return { clock, asked, found, answer };
}

test('the name of a private address is looked up once, and kept for ten minutes, also when there is none', async () => {
  const { clock, asked, found, answer } = names();
  assert.equal(found.nameOf('10.0.0.1'), undefined);
  assert.equal(found.nameOf('10.0.0.1'), undefined);
  await answer('10.0.0.1', 'laptop.lan.example', 'other.example');
  assert.equal(found.nameOf('10.0.0.1'), 'laptop.lan.example');
  found.nameOf('fd00::1');
  await answer('fd00::1');
  assert.equal(found.nameOf('fd00::1'), undefined);
  assert.deepEqual(asked, ['10.0.0.1', 'fd00::1']);
  await clock.pass(600_000);
  assert.equal(found.nameOf('10.0.0.1'), 'laptop.lan.example');
  found.nameOf('fd00::1');
  assert.deepEqual(asked, ['10.0.0.1', 'fd00::1', '10.0.0.1', 'fd00::1']);
});

test('addresses that are not private are never looked up', () => {
  const { asked, found } = names();
  for (const address of ['127.0.0.1', '::1', '198.51.100.7', '2001:db8::1', '169.254.169.254', 'unix']) {
    assert.equal(found.nameOf(address), undefined);
  }
  assert.deepEqual(asked, []);
});

test('at most 4 lookups are in flight, and at most 256 addresses wait', async () => {
  const { asked, found, answer } = names();
  for (let n = 0; n < 1_000; n++) found.nameOf(`10.0.${n >> 8}.${n & 255}`);
  assert.deepEqual(asked, ['10.0.0.0', '10.0.0.1', '10.0.0.2', '10.0.0.3']);
  await answer('10.0.0.2', 'two.example');
  assert.equal(asked.length, 5);
  for (let done = 0; done < asked.length; done++) await answer(asked[done] ?? '', 'a.example');
  assert.equal(asked.length, 4 + 256);
});

test('a hostile name loses what is not shown, and keeps its length within that of a name', async () => {
  const { found, answer } = names();
  found.nameOf('10.0.0.1');
  await answer('10.0.0.1', `<img src=x>\u202e\n\0${'a'.repeat(400)}`);
  assert.equal(found.nameOf('10.0.0.1'), `<img src=x>${'a'.repeat(242)}`);
});
