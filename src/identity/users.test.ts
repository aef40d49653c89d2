import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PasswordHash } from './password-hash.ts';
import { comparerOf } from './users.ts';

describe('a comparison', () => {
  const compared: string[] = [];
  const hash = (name: string, costUs: number): PasswordHash => ({
    text: name,
    costUs,
    async verify(password) {
      compared.push(name);
      return password === `${name}'s`;
    },
  });
  const users = new Map([
    ['cheap', hash('cheap', 1)],
    ['dear', hash('dear', 9000)],
    ['dear2', hash('dear2', 9000)],
  ]);
  const { costUs, isRight } = comparerOf(users);
  const comparisons = async (username: string, password: string) => {
    compared.length = 0;
    const isUser = await isRight(username, password);
    return [isUser ? username : null, ...compared];
  };
  test('that succeeds is the only one', async () => {
    assert.deepEqual(await comparisons('cheap', "cheap's"), ['cheap', 'cheap']);
    assert.deepEqual(await comparisons('dear2', "dear2's"), ['dear2', 'dear2']);
  });
  test('that fails costs one of each kind, for unknown names too', async () => {
    assert.deepEqual(await comparisons('unknown', 'x'), [null, 'cheap', 'dear2']);
    assert.deepEqual(await comparisons('cheap', 'x'), [null, 'cheap', 'dear2']);
    assert.deepEqual(await comparisons('dear', 'x'), [null, 'dear', 'cheap']);
    assert.deepEqual(await comparisons('dear2', 'x'), [null, 'dear2', 'cheap']);
  });
  test('with the hash of another user is refused', async () => {
    assert.deepEqual(await comparisons('unknown', "dear's"), [null, 'cheap', 'dear2']);
    assert.deepEqual(await comparisons('cheap', "dear2's"), [null, 'cheap', 'dear2']);
    assert.deepEqual(await comparisons('__proto__', 'x'), [null, 'cheap', 'dear2']);
  });
  test('knows what a refusal costs: one of each kind', () => {
    assert.equal(costUs, 9001);
  });
});
