import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { ProxyError } from '../../contracts/failure.ts';
import { cachingResolver } from './resolver.ts';

const forever = new AbortController().signal;

function resolver(answers: (host: string) => Promise<readonly string[]>) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const made = cachingResolver(clock, (host) => {
    asked.push(host);
    return answers(host);
  });
  return { clock, asked, made };
}

test('an address is its own answer', async () => {
  const { asked, made } = resolver(() => Promise.reject(new Error('no lookup expected')));
  assert.deepEqual(await made.resolve('::1', forever), ['::1']);
  assert.deepEqual(await made.resolve('127.0.0.1', forever), ['127.0.0.1']);
  assert.deepEqual(asked, []);
});

test('an answer is remembered for 30 s, a failure for 2 s', async () => {
  let works = true;
  const { clock, asked, made } = resolver(() =>
    works ? Promise.resolve(['1.1.1.1']) : Promise.reject(Object.assign(new Error(), { code: 'ENOTFOUND' })),
  );
  const ask = () => made.resolve('a.test', forever);
  await ask();
  clock.advance(29_000);
  await ask();
  assert.equal(asked.length, 1);
  clock.advance(1_100);
  works = false;
  await assert.rejects(ask(), (error) => error instanceof ProxyError && error.code === 'dns_failed');
  works = true;
  clock.advance(1_900);
  await assert.rejects(ask());
  assert.equal(asked.length, 2);
  clock.advance(200);
  assert.deepEqual(await ask(), ['1.1.1.1']);
});

test('a lookup for which there was no descriptor says nothing about the name', async () => {
  let works = false;
  const { made } = resolver(() =>
    works ? Promise.resolve(['1.1.1.1']) : Promise.reject(Object.assign(new Error(), { code: 'EMFILE' })),
  );
  await assert.rejects(
    made.resolve('a.test', forever),
    (error) => error instanceof ProxyError && error.code === 'at_capacity',
  );
  works = true;
  assert.deepEqual(await made.resolve('a.test', forever), ['1.1.1.1']);
});

test('requests for a name at the same time share one lookup, and one that is aborted leaves it to the others', async () => {
  const answer = Promise.withResolvers<readonly string[]>();
  const { asked, made } = resolver(() => answer.promise);
  const leaving = new AbortController();
  const one = made.resolve('a.test', forever);
  const two = made.resolve('a.test', leaving.signal);
  const reason = new ProxyError('client_gone', 'test');
  leaving.abort(reason);
  await assert.rejects(two, (error) => error === reason);
  answer.resolve(['1.1.1.1']);
  assert.deepEqual(await one, ['1.1.1.1']);
  assert.equal(asked.length, 1);
});

test('a name without an address is dns_failed', async () => {
  const { made } = resolver(() => Promise.resolve([]));
  await assert.rejects(
    made.resolve('a.test', forever),
    (error) => error instanceof ProxyError && error.code === 'dns_failed',
  );
});

test('what was remembered longest ago is forgotten first', async () => {
  const { asked, made } = resolver(() => Promise.resolve(['1.1.1.1']));
  for (let count = 0; count <= 4096; count++) await made.resolve(`n${count}.test`, forever);
  asked.length = 0;
  await made.resolve('n4096.test', forever);
  await made.resolve('n1.test', forever);
  assert.deepEqual(asked, []);
  await made.resolve('n0.test', forever);
  assert.deepEqual(asked, ['n0.test']);
});
