import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { type RedisServer, startRedis } from '../../test/lab/redis.ts';
import { Fleet, type Instance } from '../../test/support/fleet.ts';
import { missing } from '../../test/support/requires.ts';
import { Secret } from '../contracts/secret.ts';
import { credentialMaker } from '../credentials/credential.ts';
import { limitsSchema } from '../limits/options.ts';
import type { LoginAttempt, LoginDenial } from '../upstream-auth/login-attempt.ts';
import { LoginLimiterRegistry } from '../upstream-auth/login-limiter-registry.ts';
import { latchSharing } from './shared-latches.ts';

const skip = missing('redis-server');
const never = new AbortController().signal;

let redis: RedisServer;
before(async () => {
  if (skip === false) redis = await startRedis();
});
after(async () => {
  if (skip === false) await redis[Symbol.asyncDispose]();
});

const OPTIONS = limitsSchema.parse({ storeSecret: 'env:FLEET_KEY' });

/** The logins of one instance, as the proxy makes them. */
function loginsOf(at: Fleet, { store }: Instance, key: string, password = 'pass-word-1') {
  const sharing = latchSharing(OPTIONS, store, { FLEET_KEY: key }) ?? assert.fail();
  const { id } = credentialMaker(sharing.idKey)({
    account: { user: 'alice', domain: undefined },
    secret: { kind: 'password', password: new Secret(password) },
    source: 'a test',
    loginMs: 0,
  });
  const limiter = new LoginLimiterRegistry(at.clock, sharing.latches(undefined)).limiterFor({
    proxy: 'proxy.corp:8080',
    secret: id,
  });
  return { limiter, acquire: () => at.settled(limiter.acquire(never, 'can-ask')) };
}

/** It is tried once more half an hour after it was rejected. */
function assertRejected(result: LoginAttempt | LoginDenial): void {
  assert.ok('denied' in result && result.denied === 'rejected');
  assert.ok(result.retryMs !== undefined && result.retryMs > 29 * 60_000 && result.retryMs <= 30 * 60_000);
}

test('a password that was rejected at one instance is not tried at another one', { skip }, async () => {
  await using at = new Fleet(redis.port, 'latches-1');
  const [a, b] = [await at.instance({}), await at.instance({})];
  const [first, second] = [loginsOf(at, a, 'the key of the fleet'), loginsOf(at, b, 'the key of the fleet')];
  const attempt = await first.acquire();
  assert.ok('rejected' in attempt);
  attempt.rejected();
  await at.settle();
  assertRejected(await second.acquire());
  // Another password is another secret.
  assert.ok('accepted' in (await loginsOf(at, b, 'the key of the fleet', 'pass-word-2').acquire()));
  assert.ok('accepted' in (await loginsOf(at, b, 'the key of another fleet').acquire()));
});

test('the store has neither the password nor a digest that it could be guessed from', { skip }, async () => {
  await using at = new Fleet(redis.port, 'latches-2');
  const attempt = await loginsOf(at, await at.instance({}), 'the key of the fleet').acquire();
  assert.ok('rejected' in attempt);
  attempt.rejected();
  await at.settle();
  const written = JSON.stringify(await redis.admin.hgetall('{latches-2}:table:latches'));
  assert.match(written, /^\{"proxy\.corp:8080 [\w-]{22}":/);
  for (const text of ['pass-word-1', 'alice:pass-word-1', 'alice']) {
    assert.ok(!written.includes(text));
    for (const algorithm of ['md5', 'sha1', 'sha256']) {
      for (const encoding of ['hex', 'base64url'] as const) {
        assert.ok(!written.includes(createHash(algorithm).update(text).digest(encoding).slice(0, 20)));
      }
    }
  }
});

test('while the store is away each instance holds to what it has found out itself', { skip }, async () => {
  await using at = new Fleet(redis.port, 'latches-3');
  const a = await at.instance({});
  const own = loginsOf(at, a, 'the key of the fleet');
  const attempt = await own.acquire();
  assert.ok('rejected' in attempt);
  a.disconnect();
  attempt.rejected();
  await at.pass(100);
  assertRejected(await own.acquire());
});
