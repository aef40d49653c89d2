import assert from 'node:assert/strict';
import { test } from 'node:test';
import { received } from '../../test/support/received.ts';
import { ProxyError } from '../core/failure.ts';
import { type AuthenticateHook, hookAuthenticator } from './hook.ts';

const from = (text: string) =>
  received({ headers: [['Proxy-Authorization', `Basic ${Buffer.from(text).toString('base64')}`]] });
const asked = async (hook: AuthenticateHook, text = 'ann:secret') => await hookAuthenticator(hook).identify(from(text));

test('the hook is given what Basic carried, and names the user', async () => {
  const seen: unknown[] = [];
  const answer = await asked((credentials) => {
    seen.push(credentials);
    return { id: 'ann@corp' };
  }, 'ann:se:cret');
  assert.deepEqual(seen, [{ username: 'ann', password: 'se:cret' }]);
  assert.deepEqual(answer, { name: 'ann@corp', scheme: 'basic' });
});

test('null asks again; without credentials the hook is not called', async () => {
  for (const hook of [() => null, () => undefined, async () => null]) assert.ok('challenge' in (await asked(hook)));
  const answer = await hookAuthenticator(() => assert.fail('called')).identify(received());
  assert.ok('challenge' in answer);
});

test('a hook that fails lets nobody in, and its message is not repeated', async () => {
  const wrong: AuthenticateHook[] = [
    ({ password }) => {
      throw new Error(`cannot read ${password}`);
    },
    async () => Promise.reject(new TypeError('secret')),
    () => ({ id: '' }),
  ];
  for (const hook of wrong) {
    await assert.rejects(asked(hook), (error) => {
      return error instanceof ProxyError && error.code === 'hook_failed' && !error.message.includes('secret');
    });
  }
});
