import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { cpuMsOf } from '../../test/support/cpu-ms.ts';
import { received } from '../../test/support/received.ts';
import { Secret } from '../contracts/secret.ts';
import { basicAuthenticator, parseBasic } from './basic.ts';

const encoded = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

describe('Basic credentials', () => {
  test('are a name and a password, parted by the first colon', () => {
    assert.deepEqual(parseBasic('Basic YWxpY2U6c2VjcmV0'), { username: 'alice', password: 'secret' });
    assert.deepEqual(parseBasic(encoded('alice:a:b')), { username: 'alice', password: 'a:b' });
    assert.deepEqual(parseBasic(encoded('alice:')), { username: 'alice', password: '' });
    assert.deepEqual(parseBasic(encoded('ålice:пароль')), { username: 'ålice', password: 'пароль' });
    assert.deepEqual(parseBasic('bAsIc  YWxpY2U6c2VjcmV0 '), { username: 'alice', password: 'secret' });
  });
  test('are refused unless well-formed', () => {
    const wrong: Record<string, string> = {
      'no colon': encoded('alice'),
      'no name': encoded(':secret'),
      'a NUL': encoded('alice:secret\0'),
      'a NUL in the name': encoded('alice\0:secret'),
      'a line break': encoded('alice:secret\r\n'),
      DEL: encoded('alice:\x7f'),
      'no UTF-8': `Basic ${Buffer.from('alice:p\xe4ss', 'latin1').toString('base64')}`,
      'an overlong NUL': `Basic ${Buffer.from([0x61, 0x3a, 0xc0, 0x80]).toString('base64')}`,
      'no padding': 'Basic YWxpY2U6c2VjcmV0MQ',
      'too much padding': 'Basic YWxpY2U6c2VjcmV0====',
      'stray bits': 'Basic YWxpY2U6c2VjcmV0MR==',
      'base64 for URLs': 'Basic YTo_Pz8-',
      'blanks inside': 'Basic YWxp Y2U6c2VjcmV0',
      'two of them': 'Basic YWxpY2U6c2VjcmV0, Basic YWxpY2U6c2VjcmV0',
      nothing: 'Basic ',
      'no scheme': 'YWxpY2U6c2VjcmV0',
      'no blank': 'BasicYWxpY2U6c2VjcmV0',
      'a tab': 'Basic\tYWxpY2U6c2VjcmV0',
      'another scheme': 'Bearer YWxpY2U6c2VjcmV0',
      parameters: 'Basic realm="x"',
    };
    for (const [what, value] of Object.entries(wrong)) assert.equal(parseBasic(value), undefined, what);
  });
  test('are read in time, also where a whole head of blanks, letters or paddings is sent for them', () => {
    const many = 60_000;
    const heads = [
      `Basic${' '.repeat(many)}!`,
      `Basic${' '.repeat(many)}YWxpY2U=${' '.repeat(many)}!`,
      `Basic ${'A'.repeat(many)}!`,
      `Basic ${'='.repeat(many)}!`,
      `Basic ${'A='.repeat(many)}`,
      encoded(`:${'x'.repeat(many)}`),
      encoded(`a:${'x'.repeat(many)}\0`),
    ];
    for (const head of heads) {
      // A few milliseconds; with time in proportion to the square of the length it was four seconds.
      const tookMs = cpuMsOf(() => assert.equal(parseBasic(head), undefined));
      assert.ok(tookMs < 500, `${tookMs} ms for ${head.slice(0, 12)}…`);
    }
  });
  test('come back as they were encoded', () => {
    const word = fc.string({ unit: 'grapheme' }).filter((text) => !/[\0-\x1f\x7f]/.test(text) && text.isWellFormed());
    fc.assert(
      fc.property(word, word, (name, password) => {
        const username = `n${name.replaceAll(':', '')}`;
        assert.deepEqual(parseBasic(encoded(`${username}:${password}`)), { username, password });
      }),
    );
  });
});

describe('the Basic authenticator', () => {
  const verify = ({ username, password }: { username: string; password: string }) =>
    username === 'alice' && password === 'secret' ? { id: 'alice' } : null;
  const ask = (...fields: [string, string][]) => basicAuthenticator(verify).identify(received({ headers: fields }));
  const challenge = 'Basic realm="viaduct", charset="UTF-8"';
  const right = encoded('alice:secret');

  test('recognises the right password', () => {
    assert.deepEqual(ask(['Proxy-Authorization', right]), { name: 'alice', scheme: 'basic' });
    assert.deepEqual(ask(['proxy-AUTHORIZATION', right]), { name: 'alice', scheme: 'basic' });
  });
  test('challenges everything else, and says why to the log alone', () => {
    assert.deepEqual(ask(), { challenge, reason: 'no credentials' });
    assert.deepEqual(ask(['Authorization', right]), { challenge, reason: 'no credentials' });
    assert.deepEqual(ask(['Proxy-Authorization', encoded('alice:secre')]), {
      challenge,
      reason: 'wrong user name or password',
    });
    assert.deepEqual(ask(['Proxy-Authorization', encoded('alice:secret\0')]), {
      challenge,
      reason: 'not well-formed Basic credentials',
    });
    assert.deepEqual(ask(['Proxy-Authorization', 'Basic YWxpY2U=']), {
      challenge,
      reason: 'not well-formed Basic credentials',
    });
  });
  test('takes none of two, whichever is right', () => {
    const both: [string, string][] = [
      ['Proxy-Authorization', right],
      ['Proxy-Authorization', encoded('alice:wrong')],
    ];
    for (const fields of [both, both.toReversed(), [...both.slice(0, 1), ...both.slice(0, 1)]]) {
      assert.deepEqual(ask(...fields), { challenge, reason: 'more than one Proxy-Authorization' });
    }
  });
  test('recognises a user name and a password that are fields of another protocol, by the same rules', () => {
    const askFields = (username: string, password: string) => {
      const { request } = received();
      const credentials = { kind: 'password', username, password: new Secret(password) } as const;
      return basicAuthenticator(verify).identify({ request: { ...request, credentials } });
    };
    assert.deepEqual(askFields('alice', 'secret'), { name: 'alice', scheme: 'basic' });
    assert.deepEqual(askFields('alice', 'wrong'), { challenge, reason: 'wrong user name or password' });
    for (const [username, password] of [
      ['', 'secret'],
      ['alice', 'secret\0'],
      ['alice\n', 'secret'],
    ] as const) {
      assert.deepEqual(askFields(username, password), {
        challenge,
        reason: 'not a well-formed user name and password',
      });
    }
  });
  test('waits for a verifier that takes its time', async () => {
    const slow = basicAuthenticator(async (credentials) => verify(credentials));
    assert.deepEqual(await slow.identify(received({ headers: [['Proxy-Authorization', right]] })), {
      name: 'alice',
      scheme: 'basic',
    });
  });
});
