import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DisposerStack } from './disposer-stack.ts';

test('parts end last first, and each waits for the one before', async () => {
  const ended: string[] = [];
  const stack = new DisposerStack(() => assert.fail('nothing failed'));
  stack.use('log', { [Symbol.dispose]: () => void ended.push('log') });
  stack.use('pool', {
    async [Symbol.asyncDispose]() {
      await Promise.resolve();
      ended.push('pool');
    },
  });
  stack.defer('watch', () => void ended.push('watch'));
  const first = stack[Symbol.asyncDispose]();
  assert.equal(stack[Symbol.asyncDispose](), first);
  await first;
  assert.deepEqual(ended, ['watch', 'pool', 'log']);
});

test('a part that cannot be disposed is reported by its name, and the others are disposed', async () => {
  const ended: string[] = [];
  const failures: string[] = [];
  const stack = new DisposerStack((name, error) => void failures.push(`${name}: ${error}`));
  stack.defer('log', () => void ended.push('log'));
  stack.defer('pool', () => Promise.reject(new Error('rejects')));
  stack.defer('watch', () => {
    throw new Error('throws');
  });
  await stack[Symbol.asyncDispose]();
  assert.deepEqual(ended, ['log']);
  assert.deepEqual(failures, ['watch: Error: throws', 'pool: Error: rejects']);
});

test('parts that were moved outlive the scope in which they were made', async () => {
  const ended: string[] = [];
  const build = async (): Promise<DisposerStack> => {
    await using building = new DisposerStack(() => assert.fail('nothing failed'));
    building.defer('pool', () => void ended.push('pool'));
    return building.move();
  };
  const built = await build();
  assert.deepEqual(ended, []);
  await built[Symbol.asyncDispose]();
  assert.deepEqual(ended, ['pool']);
});
