import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { received } from '../../test/support/received.ts';
import type { Challenge } from '../contracts/identity.ts';
import { Secret } from '../contracts/secret.ts';
import type { Principal } from '../contracts/stages.ts';
import { parseChallenges } from '../protocol/http-auth/challenge.ts';
import { digestCredentials, readDigest } from '../protocol/http-auth/digest.ts';
import { atOnce } from '../util/slices.ts';
import { clientAuthenticator } from './clients.ts';
import { digestLines } from './digest-line.ts';
import { DigestNonces, NONCE_MS } from './digest-nonces.ts';
import { loadUsers, parseHtpasswd, UsersError } from './htpasswd.ts';
import { Logins } from './logins.ts';
import { LocalNonceCounter, NONCES_MAX, type NonceCounter } from './nonce-counter.ts';

const lines = digestLines({ user: 'alice', realm: 'viaduct', password: 'secret' });
const file = (text: string) => atOnce(parseHtpasswd(text, 'users'));

const USERS = file(`${lines.join('\n')}\nbob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n`);

interface StageOptions {
  readonly users?: ReturnType<typeof file>;
  /** Of the start of the proxy. */
  readonly run?: string;
  readonly counter?: NonceCounter;
}

function stage({ users = USERS, run = 'first', counter = new LocalNonceCounter() }: StageOptions = {}) {
  const clock = new ManualClock();
  const nonces = new DigestNonces({ key: Buffer.alloc(32), run, clock, counter });
  const authenticator = clientAuthenticator(
    { filter: undefined, users, negotiate: undefined, others: [] },
    { logins: new Logins(clock), nonces },
  );
  const ask = async (value: string | undefined, more: { from?: string } = {}): Promise<Principal | Challenge> =>
    await authenticator.identify(
      received({ ...more, headers: value === undefined ? [] : [['Proxy-Authorization', value]] }),
    );
  return { clock, nonces, ask };
}

/** The request-target of a request that `received` makes. */
const TARGET = received().request.requestTarget;
const METHOD = received().request.method;

interface Use {
  readonly count?: number;
  readonly password?: string;
  readonly user?: string;
  readonly uri?: string;
}

/** What a client sends that was given this challenge. */
function credentials(
  challenge: string,
  { count = 1, password = 'secret', user = 'alice', uri = TARGET }: Use = {},
): string {
  const [parsed] = parseChallenges([challenge]);
  const digest = parsed && readDigest(parsed);
  assert.ok(digest !== undefined);
  const account = { user, password: new Secret(password) };
  return digestCredentials(digest, { method: METHOD, uri, count, cnonce: 'c' }, account) ?? '';
}

async function challenged(
  ask: (value: undefined) => Promise<Principal | Challenge>,
): Promise<readonly [sha256: string, md5: string]> {
  const asked = await ask(undefined);
  assert.ok('challenge' in asked);
  return [asked.challenge, asked.further?.[0] ?? ''];
}

const outcome = (found: Principal | Challenge) =>
  'challenge' in found ? [found.reason, found.challenge.includes('stale=true')] : found.name;

describe('Digest', () => {
  test('recognises a right response of either hash, in a method and a URI that are those of the request', async () => {
    const { ask } = stage();
    const [sha256, md5] = await challenged(ask);
    assert.deepEqual(await ask(credentials(sha256)), { name: 'alice', scheme: 'digest' });
    assert.deepEqual(await ask(credentials(md5)), { name: 'alice', scheme: 'digest' });
    assert.deepEqual(outcome(await ask(credentials(sha256, { count: 2, uri: '/other' }))), [
      'Digest credentials for another request',
      false,
    ]);
    assert.deepEqual(outcome(await ask(credentials(sha256, { count: 2, password: 'wrong' }))), [
      'wrong user name or password',
      false,
    ]);
  });
  test('takes each count of a nonce once, in any order, from the client that has used it first', async () => {
    const { ask } = stage();
    const [challenge] = await challenged(ask);
    for (const count of [1, 5, 3, 2, 40])
      assert.equal(outcome(await ask(credentials(challenge, { count }))), 'alice', `${count}`);
    for (const count of [1, 3, 5, 40])
      assert.deepEqual(outcome(await ask(credentials(challenge, { count }))), ['a nonce that is used up', true]);
    assert.equal(outcome(await ask(credentials(challenge, { count: 41 }))), 'alice');
    assert.deepEqual(outcome(await ask(credentials(challenge, { count: 42 }), { from: '192.0.2.7' })), [
      'a nonce that is used up',
      true,
    ]);
  });
  test('asks again with stale=true when the nonce has expired or is not ours, and only for the right password', async () => {
    const { ask, clock } = stage();
    const [challenge] = await challenged(ask);
    const foreign = challenge.replace(/nonce="[^"]+"/, 'nonce="bm90IG91cnM"');
    assert.deepEqual(outcome(await ask(credentials(foreign))), ['a nonce that is used up', true]);
    assert.deepEqual(outcome(await ask(credentials(foreign, { password: 'wrong' }))), [
      'wrong user name or password',
      false,
    ]);
    await clock.pass(NONCE_MS + 1);
    assert.deepEqual(outcome(await ask(credentials(challenge))), ['a nonce that is used up', true]);
  });
  test('refuses a nonce that may have been used before it was forgotten', () => {
    const { nonces, clock } = stage();
    const owner = { client: '192.0.2.7', user: 'x' };
    const first = nonces.issue(owner.client);
    assert.equal(nonces.use(first, 1, owner), 'fresh');
    clock.advance(1);
    for (let at = 0; at < NONCES_MAX; at++) assert.equal(nonces.use(nonces.issue(owner.client), 1, owner), 'fresh');
    assert.equal(nonces.use(first, 1, owner), 'stale');
    assert.equal(nonces.use(first, 2, owner), 'stale');
  });
  test('is taken once by all processes of a proxy together, which know the nonces of one another', async () => {
    const counter = new LocalNonceCounter();
    const [one, other] = [stage({ counter }), stage({ counter })];
    const [challenge] = await challenged(one.ask);
    const overheard = credentials(challenge);
    assert.deepEqual(outcome(await other.ask(overheard, { from: '192.0.2.7' })), ['a nonce that is used up', true]);
    assert.equal(outcome(await other.ask(overheard)), 'alice');
    for (const { ask } of [one, other])
      assert.deepEqual(outcome(await ask(overheard)), ['a nonce that is used up', true]);
    assert.equal(outcome(await one.ask(credentials(challenge, { count: 2 }))), 'alice');
  });
  test('is not taken again after a restart, which forgets what was used', async () => {
    const [challenge] = await challenged(stage().ask);
    const overheard = credentials(challenge);
    assert.deepEqual(outcome(await stage({ run: 'second' }).ask(overheard)), ['a nonce that is used up', true]);
  });
  test('offers Basic alone to a user who has no line for Digest', async () => {
    const { ask } = stage();
    const [challenge] = await challenged(ask);
    const found = await ask(credentials(challenge, { user: 'bob' }));
    assert.deepEqual(found, {
      challenge: 'Basic realm="viaduct", charset="UTF-8"',
      reason: 'wrong user name or password',
    });
  });
  test('is not offered where all users are those of htpasswd', async () => {
    const { ask } = stage({ users: loadUsers({ bob: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' }) });
    assert.deepEqual(await ask(undefined), {
      challenge: 'Basic realm="viaduct", charset="UTF-8"',
      reason: 'no credentials',
    });
  });
  test('is not read from fields that are not whole', async () => {
    const { ask } = stage();
    const [challenge] = await challenged(ask);
    const whole = credentials(challenge);
    const torn = [
      'Digest ',
      whole.replace('qop=auth', 'qop=auth-int'),
      whole.replace(/nc=\w+/, 'nc=1'),
      whole.replace(/cnonce="\w*"/, 'cnonce=""'),
      whole.replace('SHA-256', 'SHA-1'),
      whole.replace('"alice"', '"\xff"'),
    ];
    for (const value of torn)
      assert.deepEqual(outcome(await ask(value)), ['not well-formed Digest credentials', false], value);
  });
});

describe('a file of users', () => {
  const fails = (text: string, message: RegExp) =>
    assert.throws(
      () => file(text),
      (error) => error instanceof UsersError && message.test(error.message),
    );
  test('has one line of each kind for a user', () => {
    const users = file(`${lines.join('\n')}\nalice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n`);
    assert.deepEqual([...(users.get('alice')?.digest?.keys.keys() ?? [])], ['SHA-256', 'MD5']);
    fails(`${lines[0]}\n${lines[0]}\n`, /^users:2: "alice" is already on line 1; remove one of the two$/);
    fails('bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nbob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n', /already on line 1/);
  });
  test('has one realm', () => {
    fails(`${lines[0]}\n${lines[1]?.replace('viaduct', 'other')}\n`, /"alice" has Digest hashes for two realms/);
    fails(
      `${lines[0]}\n${lines[1]?.replace('viaduct', 'other').replace('alice', 'carol')}\n`,
      /two realms, "viaduct" and "other"/,
    );
  });
  test('compares passwords with the lines of Digest too', async () => {
    const user = file(lines[1] ?? '').get('alice');
    assert.deepEqual([await user?.verify('secret'), await user?.verify('wrong')], [true, false]);
  });
});
