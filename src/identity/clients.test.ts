import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { received } from '../../test/support/received.ts';
import { ProxyError } from '../contracts/failure.ts';
import type { Authenticator } from '../contracts/identity.ts';
import { atOnce } from '../util/slices.ts';
import { authenticatorChain } from './chain.ts';
import { clientAuthenticator } from './clients.ts';
import { DigestNonces } from './digest-nonces.ts';
import { loadUsers } from './htpasswd.ts';
import { Logins } from './logins.ts';
import { LocalNonceCounter } from './nonce-counter.ts';
import { clientsSchema } from './options.ts';
import { buildAddressFilter } from './source-address.ts';

const clock = new ManualClock();
const nonces = new DigestNonces({ key: Buffer.alloc(32), run: 'a', clock, counter: new LocalNonceCounter() });
const memory = { logins: new Logins(clock), nonces };
const users = loadUsers({ alice: '$2y$04$X.EUTaKAdXBpZDx/tjUE9uHHngGkWyPkc33oVQ4pAX7caZY/ZkhKG' });
const basic = (text: string): [string, string] => [
  'Proxy-Authorization',
  `Basic ${Buffer.from(text).toString('base64')}`,
];

describe('clients', () => {
  test('may be anyone while nothing is said', async () => {
    const open = clientAuthenticator({ filter: undefined, users: undefined, negotiate: undefined, others: [] }, memory);
    assert.deepEqual(await open.identify(received()), { name: '', scheme: 'none' });
  });
  test('must be users where there are some', async () => {
    const closed = clientAuthenticator({ filter: undefined, users, negotiate: undefined, others: [] }, memory);
    assert.deepEqual(await closed.identify(received({ headers: [basic('alice:secret')] })), {
      name: 'alice',
      scheme: 'basic',
    });
    for (const text of ['alice:secre', 'alice:secret\0', 'alice:', 'bob:secret', 'Alice:secret']) {
      assert.ok('challenge' in (await closed.identify(received({ headers: [basic(text)] }))), JSON.stringify(text));
    }
  });
  test('must come from listed addresses, and are refused before they may guess', async () => {
    const listed = clientAuthenticator(
      { filter: atOnce(buildAddressFilter(['10.0.0.0/8', '::1'])), users, negotiate: undefined, others: [] },
      memory,
    );
    const credentials = [basic('alice:secret')];
    for (const from of ['10.1.2.3', '::ffff:10.1.2.3', '::1']) {
      assert.deepEqual(await listed.identify(received({ from, headers: credentials })), {
        name: 'alice',
        scheme: 'basic',
      });
      assert.ok('challenge' in (await listed.identify(received({ from }))));
    }
    for (const from of ['11.0.0.1', '::2', '127.0.0.1', '', 'unknown']) {
      assert.throws(
        () => listed.identify(received({ from, headers: credentials })),
        (error) =>
          error instanceof ProxyError &&
          error.code === 'denied' &&
          error.clientDetail === 'The rule is called "clients.allow".',
      );
    }
  });
  test('of a Unix socket were let in by its file mode', async () => {
    const listed = clientAuthenticator(
      { filter: atOnce(buildAddressFilter(['10.0.0.0/8'])), users: undefined, negotiate: undefined, others: [] },
      memory,
    );
    assert.deepEqual(await listed.identify(received({ from: '', listener: 'unix:/run/v.sock' })), {
      name: '',
      scheme: 'none',
    });
  });
});

describe('a chain of authenticators', () => {
  const refusing = (challenge: string): Authenticator => ({
    scheme: challenge,
    identify: () => ({ challenge, reason: 'no credentials' }),
  });
  const knowing = (name: string): Authenticator => ({
    scheme: 'mtls',
    identify: async () => ({ name, scheme: 'mtls' }),
  });
  test('asks in order until one recognises the request', async () => {
    const chain = authenticatorChain([refusing('A'), knowing('x'), knowing('y')]);
    assert.deepEqual(await chain.identify(received()), { name: 'x', scheme: 'mtls' });
  });
  test('offers what each asks for when none does', async () => {
    const chain = authenticatorChain([refusing('Negotiate'), refusing('Basic realm="v"')]);
    assert.deepEqual(await chain.identify(received()), {
      challenge: 'Negotiate',
      further: ['Basic realm="v"'],
      reason: 'no credentials',
    });
  });
});

test('settings of clients are checked with a path', () => {
  const paths = (value: unknown) =>
    (clientsSchema.safeParse(value).error?.issues ?? []).map(({ path }) => path.join('.'));
  assert.deepEqual(paths({ allow: ['10.0.0.0/8', '::1'], users: 'users.htpasswd' }), []);
  assert.deepEqual(paths({ allow: ['10.0.0.0/33', 'x'], users: { alice: '$2y$…' } }), ['allow.0', 'allow.1']);
  assert.deepEqual(paths({ allow: [] }), ['allow']);
  assert.deepEqual(paths({ users: {} }), ['users']);
  assert.deepEqual(paths({ user: 'x' }), ['']);
});
