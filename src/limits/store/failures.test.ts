import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { inspect } from 'node:util';
import { freePorts } from '../../../test/lab/daemon.ts';
import { type RedisServer, startRedis, startRedisCluster, startRedisWithSentinel } from '../../../test/lab/redis.ts';
import { selfSigned } from '../../../test/support/certificate.ts';
import { tunnelOf } from '../../../test/support/gate-consumers.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { missing } from '../../../test/support/requires.ts';
import { slowRelay } from '../../../test/support/slow-relay.ts';
import { temporaryFolder } from '../../../test/support/temporary.ts';
import { until } from '../../../test/support/until.ts';
import type { ProxyEvent } from '../../contracts/event.ts';
import { Secret } from '../../contracts/secret.ts';
import { parseStoreAddress } from '../../settings/store-address.ts';
import { systemClock } from '../../util/clock.ts';
import { createLimits } from '../limits.ts';
import { limitsSchema } from '../options.ts';
import { chooseBackend } from '../shared/choose-backend.ts';
import { ADMIT } from './admission-scripts.ts';
import { openStore } from './open-store.ts';
import { connectStore } from './redis-connection.ts';
import { REPORT } from './scripts.ts';
import { lateConnection } from './store-client.ts';
import { StoreLink } from './store-link.ts';

const skip = missing('redis-server');
/** After its return everything is right again within 2 s; a busy machine may take longer to run this process. */
const BACK_MS_MAX = 6_000;

let redis: RedisServer;
before(async () => {
  if (skip === false) redis = await startRedis();
});
after(async () => {
  if (skip === false) await redis[Symbol.asyncDispose]();
});

interface Linked extends AsyncDisposable {
  readonly link: StoreLink;
  readonly notices: string[];
  /** Whether the store runs a script that writes. */
  works(): Promise<boolean>;
}

let prefixes = 0;
function linked(port: number, login: { readonly user?: string; readonly password?: string } = {}): Linked {
  return linkedTo(`redis://${login.user === undefined ? '' : `${login.user}@`}127.0.0.1:${port}`, login);
}

function linkedTo(url: string, login: { readonly password?: string; readonly ca?: string } = {}): Linked {
  const address = parseStoreAddress(url);
  const password = login.password === undefined ? undefined : new Secret(login.password);
  const notices: string[] = [];
  const link = new StoreLink({
    connection: lateConnection(address.kind, () =>
      connectStore({ address, password, ca: login.ca === undefined ? undefined : [login.ca] }),
    ),
    clock: systemClock,
    observe: (event) => {
      if (event.type === 'notice') notices.push(event.message);
    },
    prefix: `failures-${++prefixes}`,
    place: 'the store',
    onStoreDown: 'local',
  });
  const input = {
    me: link.me,
    learnMs: 0,
    counts: [],
    requests: [{ rates: [[3, 1_000, 1_000]], quotas: [], tunnels: [] }],
  };
  return {
    link,
    notices,
    works: () =>
      link.call(ADMIT, [link.key('epoch'), link.key('instances'), link.key('one')], input).then(
        (reply) => JSON.stringify(reply[1]) === '[[0]]',
        () => false,
      ),
    [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
  };
}

const isUp = (at: Linked) => at.link.state.isUp;
const becomesUp = (at: Linked) => until(() => isUp(at), 'the store is up', BACK_MS_MAX);
const becomesDown = (at: Linked) => until(() => !isUp(at), 'the store is down');

const FAILURES: readonly {
  readonly name: string;
  readonly problem: RegExp;
  fail(): unknown;
  mend(): unknown;
}[] = [
  {
    name: 'is frozen',
    problem: /gave no answer in 1500 ms|gives no answer/,
    fail: () => redis.daemon.kill('SIGSTOP'),
    mend: () => redis.daemon.kill('SIGCONT'),
  },
  {
    name: 'is full and empty',
    problem: /is full \(maxmemory\)/,
    async fail() {
      await redis.admin.config('SET', 'maxmemory', '1');
      await redis.admin.flushall();
    },
    mend: () => redis.admin.config('SET', 'maxmemory', '0'),
  },
  {
    name: 'is a read-only replica',
    problem: /is a read-only replica/,
    fail: () => redis.admin.replicaof('127.0.0.1', 1),
    mend: () => redis.admin.call('REPLICAOF', 'NO', 'ONE'),
  },
];

for (const { name, problem, fail, mend } of FAILURES) {
  test(`a store that ${name} is down, and up again once it is mended`, { skip }, async () => {
    await using at = linked(redis.port);
    await becomesUp(at);
    assert.ok(await at.works());
    try {
      await fail();
      await becomesDown(at);
      assert.match(at.link.state.problem ?? '', problem);
      assert.equal(await at.works(), false);
    } finally {
      await mend();
    }
    await becomesUp(at);
    assert.ok(await at.works());
    assert.equal(at.notices.length, 2, at.notices.join('\n'));
    assert.match(at.notices[1] ?? '', /^the store of the shared limits, the store, is up again/);
  });
}

test('where a probe works and calls fail, a few notices say so, and not one for each', async () => {
  const clock = new ManualClock();
  const notices: string[] = [];
  let fails = true;
  await using link = new StoreLink({
    connection: {
      isCluster: false,
      reconnect() {},
      // The keys of an instance are in one slot of a cluster, and those of a limit in another one, which is away.
      command: async ([, , , key = '']) => {
        if (fails && !key.includes('epoch')) throw new Error('CLUSTERDOWN Hash slot not served');
        return ['1', 1, 1];
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    },
    clock,
    observe: (event) => {
      if (event.type === 'notice') notices.push(event.message);
    },
    ...{ prefix: 'unsteady', place: 'the store', onStoreDown: 'local', random: () => 0.5 },
  });
  let calls = 0;
  const pass = async (ms: number) => {
    for (let at = 0; at < ms; at += 50) {
      clock.advance(50);
      await nextTurn();
      if (!link.isUp) continue;
      calls += 1;
      await link.call(REPORT, ['elsewhere'], {}).catch(() => undefined);
    }
  };
  await pass(60_000);
  assert.ok(calls < 60, `${calls} calls`);
  assert.equal(notices.length, 3, notices.join('\n'));
  assert.match(notices[2] ?? '', /is a cluster that is down; until it is back/);
  fails = false;
  await pass(10_000);
  assert.match(notices[3] ?? '', /is up again/);
  assert.equal(notices.length, 4);
});

test('a store that is full still counts what it knows', { skip }, async () => {
  await using at = linked(redis.port);
  await becomesUp(at);
  assert.ok(await at.works());
  await redis.admin.config('SET', 'maxmemory', '1');
  try {
    // A script that has written may write on, and each of ours first renews a key that is there.
    assert.ok(await at.works());
    assert.deepEqual(at.notices, []);
  } finally {
    await redis.admin.config('SET', 'maxmemory', '0');
  }
});

test('a store that is restarted has lost its scripts, and gets them again', { skip }, async () => {
  const first = await startRedis();
  await using at = linked(first.port);
  await becomesUp(at);
  await first[Symbol.asyncDispose]();
  await becomesDown(at);
  assert.match(at.link.state.problem ?? '', /refuses connections|cannot be reached/);
  await using _second = await startRedis([], first.port);
  await becomesUp(at);
  assert.ok(await at.works());
});

test('a store that was not there at the start is used once it comes', { skip }, async () => {
  const first = await startRedis();
  const { port } = first;
  await first[Symbol.asyncDispose]();
  await using at = linked(port);
  await until(() => at.notices.length > 0, 'the proxy says that the store is away');
  await using _late = await startRedis([], port);
  await becomesUp(at);
  assert.ok(await at.works());
});

test('a store that takes half a second is slow, and is not down', { skip }, async () => {
  await using relay = await slowRelay(redis.port, 0);
  await using at = linked(relay.port);
  await becomesUp(at);
  relay.delayMs = 250;
  const fromMs = performance.now();
  assert.ok(await at.works());
  assert.ok(performance.now() - fromMs >= 450);
  assert.ok(isUp(at));
  assert.deepEqual(at.notices, []);
});

test('a user of an ACL and a password are used, and a notice about a wrong one does not repeat it', {
  skip,
}, async () => {
  await redis.admin.call(
    ...([
      'ACL',
      'SETUSER',
      'viaduct',
      'on',
      '>pass-word-1',
      '~{failures-*',
      '+@read',
      '+@write',
      '+@scripting',
      '+time',
    ] as const),
    ...(['+@connection', '+info'] as const),
  );
  await using right = linked(redis.port, { user: 'viaduct', password: 'pass-word-1' });
  await becomesUp(right);
  assert.ok(await right.works());
  await using wrong = linked(redis.port, { user: 'viaduct', password: 'pass-word-2' });
  await becomesDown(wrong);
  await until(() => wrong.notices.length > 0, 'the proxy says what is wrong');
  await until(() => /rejects the user or the password/.test(wrong.link.state.problem ?? ''), 'it knows what is wrong');
  assert.doesNotMatch(JSON.stringify([wrong.notices, wrong.link.state]), /pass-word/);
  // Nor does the error itself, which a program may print in full.
  const address = parseStoreAddress(`redis://viaduct@127.0.0.1:${redis.port}`);
  await using connection = await connectStore({ address, password: new Secret('pass-word-2'), ca: undefined });
  const error = await connection.command(['PING']).catch((reason: unknown) => reason);
  assert.match(String(error), /WRONGPASS/);
  assert.doesNotMatch(inspect(error, { depth: 9 }), /pass-word/);
});

test('a sentinel says which server is the master, also after it was replaced', { skip }, async () => {
  await using servers = await startRedisWithSentinel('limits');
  await using at = linkedTo(`redis+sentinel://limits@127.0.0.1:${servers.sentinel.port}`);
  await becomesUp(at);
  assert.ok(await at.works());
  servers.master.daemon.kill('SIGKILL');
  // A proxy that says little meanwhile may never see the store down.
  await until(() => at.works(), 'the replica is used', 20_000);
  assert.match(await servers.replica.admin.info('replication'), /role:master/);
});

test('a cluster of three servers has the limits in several slots', { skip }, async () => {
  await using cluster = await startRedisCluster();
  const [first] = cluster.nodes;
  await using at = linkedTo(`redis+cluster://127.0.0.1:${first?.port}`);
  await becomesUp(at);
  assert.ok(await at.works());
  const { link } = at;
  const limit = { rate: 1_000, burst: 200, issued: 0, gates: 1, demand: -1, background: 0, held: 0, leaves: false };
  const input = { me: link.me, leaseMs: 1_000, learnMs: 0, limits: [limit, limit] };
  for (let slot = 0; slot < 4; slot++) {
    const keys = ['epoch', 'rate:a', 'rate:b'].map((key) => link.keyIn(slot, key));
    const [, , grants] = await link.call(REPORT, keys, input);
    assert.deepEqual(grants, [
      ['937.500', '200.000'],
      ['937.500', '200.000'],
    ]);
  }
  const held = await Promise.all(cluster.nodes.map(({ admin }) => admin.dbsize()));
  assert.ok(held.filter((keys) => keys > 0).length > 1, `${held}`);

  // All kinds of limits at once, as a proxy uses them.
  const notices: string[] = [];
  const scope = {
    clock: systemClock,
    observe: (event: ProxyEvent) => {
      if (event.type === 'notice') notices.push(event.message);
    },
  };
  const options = limitsSchema.parse({
    store: `redis+cluster://127.0.0.1:${first?.port}`,
    bandwidth: Array.from({ length: 10 }, (_, at) => ({ name: `limit-${at}`, per: 'user', rate: 1_000_000 + at })),
    requests: { per: 'user', rate: 100 },
    tunnels: { user: 5, wait: '5s' },
    quota: { per: 'user', bytes: '1MiB', every: '1d' },
  });
  const store = openStore(options, { ...scope, environment: {} }) ?? assert.fail();
  await using limits = createLimits(options, { ...scope, backend: chooseBackend({ store, deps: scope }) });
  using permit = await limits.acquire(tunnelOf({ user: 'alice' }));
  const { down } = permit;
  assert.ok(down !== undefined);
  for (let taken = 0; taken < 500_000; ) taken += await down.take(65_536);
  assert.deepEqual(notices, []);
  const { isUp: works, errors } = store.state;
  assert.deepEqual([works, errors], [true, 0]);
});

test('TLS checks the certificate of the store against the authority that is configured', { skip }, async () => {
  const { cert, key } = selfSigned(['127.0.0.1']);
  using folder = temporaryFolder();
  const [port = 0] = await freePorts(1);
  await using _server = await startRedis([
    `tls-port ${port}`,
    'tls-auth-clients no',
    `tls-cert-file ${folder.write('tls.pem', cert)}`,
    `tls-key-file ${folder.write('tls.key', key)}`,
    `tls-ca-cert-file ${folder.write('ca.pem', cert)}`,
  ]);
  await using right = linkedTo(`rediss://127.0.0.1:${port}`, { ca: cert });
  await becomesUp(right);
  assert.ok(await right.works());
  await using wrong = linkedTo(`rediss://127.0.0.1:${port}`);
  await becomesDown(wrong);
  assert.equal(await wrong.works(), false);
});

for (const url of ['redis://127.0.0.1:1', 'redis+sentinel://limits@127.0.0.1:1', 'redis+cluster://127.0.0.1:1']) {
  test(`a store at ${url} that is not there is down, and the proxy can end`, async () => {
    const at = linkedTo(url);
    await becomesDown(at);
    assert.equal(await at.works(), false);
    await at[Symbol.asyncDispose]();
  });
}
