import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { received } from '../../test/support/received.ts';
import { ProxyError } from '../contracts/failure.ts';
import { Secret } from '../contracts/secret.ts';
import { type AuthenticateHook, hookAuthenticator } from './hook.ts';

const from = (text: string) =>
  received({ headers: [['Proxy-Authorization', `Basic ${Buffer.from(text).toString('base64')}`]] });
const identify = async (hook: AuthenticateHook, text = 'ann:secret') =>
  await hookAuthenticator(hook).identify(from(text));

for (const [text, username, password] of [
  ['ann:se:cret', 'ann', 'se:cret'],
  ['a%20n:100%', 'a%20n', '100%'],
  ['Jürgen:пароль 🔑', 'Jürgen', 'пароль 🔑'],
  [':only a password', '', 'only a password'],
  ['only-a-name:', 'only-a-name', ''],
] as const) {
  test(`the hook gets the login "${text}" as it was sent`, async () => {
    const answer = await identify((ctx) => {
      assert.deepEqual(ctx.credentials, { username, password });
      assert.deepEqual([ctx.username, ctx.password, ctx.user], [username, password, undefined]);
      return { id: 'ann@corp' };
    }, text);
    assert.deepEqual(answer, { name: 'ann@corp', scheme: 'basic' });
  });
}

test('null asks for a login; without credentials the hook decides as well', async () => {
  for (const hook of [() => null, () => undefined, async () => null]) assert.ok('challenge' in (await identify(hook)));
  const without = (hook: AuthenticateHook) => hookAuthenticator(hook).identify(received());
  assert.deepEqual(await without(() => null), {
    challenge: 'Basic realm="viaduct", charset="UTF-8"',
    reason: 'no credentials',
  });
  const seen = await without((ctx) => ({ id: JSON.stringify([ctx.credentials ?? null, ctx.username, ctx.password]) }));
  assert.deepEqual(seen, { name: '[null,"",""]', scheme: 'program' });
  assert.deepEqual(await without((ctx) => ctx.anonymous()), { name: '', scheme: 'none' });
});

test('the hook is asked once for one login, and for the same words in another login again', async () => {
  const logins = () => {
    const credentials = { kind: 'password', username: 'ann', password: new Secret('123456') } as const;
    return { request: { ...received().request, credentials } };
  };
  let asked = 0;
  const { identify: ask } = hookAuthenticator(() => (++asked % 2 === 1 ? { id: 'ann' } : null));
  const login = logins();
  for (const from of [login, login]) assert.deepEqual(await ask(from), { name: 'ann', scheme: 'basic' });
  assert.ok('challenge' in (await ask(logins())));
});

test('requireLogin chooses realm and message; a realm that no field can carry fails', async () => {
  const answer = await identify((ctx) => ctx.requireLogin({ realm: 'the "lab\\', message: 'Ask Ann.' }));
  assert.deepEqual(answer, {
    challenge: 'Basic realm="the \\"lab\\\\", charset="UTF-8"',
    reason: 'wrong user name or password',
    clientMessage: 'Ask Ann.',
  });
  await assert.rejects(
    identify((ctx) => ctx.requireLogin({ realm: 'a\r\nb' })),
    { code: 'hook_failed' },
  );
});

test('an answer that is none is named as one, also where it is no object', async () => {
  for (const answer of ['true', '"ann"', '42', '{}', '{ "id": "" }']) {
    await assert.rejects(
      identify(() => JSON.parse(answer)),
      { detail: 'authenticate hook: returned none of { id }, null, ctx.requireLogin() and ctx.anonymous()' },
    );
  }
});

test('a context that is printed shows no password', async () => {
  await identify((ctx) => {
    assert.doesNotMatch(inspect(ctx, { depth: 1 }), /secret/);
    return null;
  });
});

test('a hook that fails admits no client, and its message is not repeated', async () => {
  const wrong: AuthenticateHook[] = [
    ({ password }) => {
      throw new Error(`cannot read ${password}`);
    },
    async () => Promise.reject(new TypeError('secret')),
    () => ({ id: '' }),
  ];
  for (const hook of wrong) {
    await assert.rejects(
      async () => identify(hook),
      (error) => error instanceof ProxyError && error.code === 'hook_failed' && !error.message.includes('secret'),
    );
  }
});
