import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { test } from 'node:test';
import { startProxy } from '../../src/index.ts';
import { viaduct, viaductEnds } from '../support/cli.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { missing } from '../support/requires.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { portOf } from '../support/traffic.ts';

const NO_HTPASSWD = missing('apache2-utils');

const credentials = (pair: string): string => `Proxy-Authorization: Basic ${Buffer.from(pair).toString('base64')}\r\n`;

/** Samples of each user whose times are compared: as many as that, and more while they differ. */
const ROUNDS_MIN = 20;
const ROUNDS_MAX = 160;
/** What a comparison may hold the event loop up by. */
const DELAY_MS_MAX = 150;
const ATTEMPTS_MAX = 4;

/** The status of a GET with these fields. */
async function statusOf(url: string, origin: RawOrigin, fields: string): Promise<number> {
  using client = await rawClient(portOf(url));
  client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\n${fields}\r\n`);
  await client.until(/\r\n\r\n/);
  return Number(client.text.split(' ')[1]);
}

/** A file made by Debian's htpasswd: one user for each kind of hash, all with the password `secret`. */
function htpasswd(folder: string): string {
  const file = `${folder}/users.htpasswd`;
  const make = (...words: string[]) => execFileSync('htpasswd', ['-b', ...words], { stdio: 'ignore' });
  make('-c', '-B', '-C', '8', file, 'bcrypt', 'secret');
  make('-s', file, 'sha', 'secret');
  make('-m', file, 'apr1', 'secret');
  return file;
}

test("users of Debian's htpasswd are admitted with their password, and no other client is", {
  skip: NO_HTPASSWD,
}, async () => {
  using folder = temporaryFolder();
  await using origin = await RawOrigin.listen(answering(() => ok('fine')));
  await using proxy = await startProxy({ clients: { users: htpasswd(folder.path) } });
  const ask = (fields: string) => statusOf(proxy.url, origin, fields);
  for (const user of ['bcrypt', 'sha', 'apr1']) {
    assert.equal(await ask(credentials(`${user}:secret`)), 200, user);
    for (const wrong of ['secre', 'secret ', 'Secret', '', 'secret\0', 'secret\0x', '\0secret', 's'.repeat(5000)]) {
      assert.equal(await ask(credentials(`${user}:${wrong}`)), 407, `${user} ${JSON.stringify(wrong.slice(0, 9))}`);
    }
  }
  for (const fields of [
    '',
    credentials('unknown:secret'),
    credentials('BCRYPT:secret'),
    credentials(':secret'),
    credentials('bcrypt:secret') + credentials('bcrypt:secret'),
    'Proxy-Authorization: Basic !!!\r\n',
    'Proxy-Authorization: Bearer secret\r\n',
    'Authorization: Basic YmNyeXB0OnNlY3JldA==\r\n',
  ]) {
    assert.equal(await ask(fields), 407, fields);
  }
  assert.equal(origin.text.match(/^GET /gm)?.length, 3, 'the origin saw the admitted requests, and nothing else');
  assert.doesNotMatch(origin.text, /proxy-authorization/i);
});

test('a name or a password as long as a head allows is wrong, and costs the others nothing', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('fine')));
  await using proxy = await startProxy({
    clients: { users: { apr1: '$apr1$eS5IMUwi$eY3e1QplebHK.iqFKsZnG.', sha: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' } },
  });
  const pairs = [`apr1:${'x'.repeat(44_000)}`, `sha:${'x'.repeat(44_000)}`, `${'x'.repeat(44_000)}:secret`];
  const fields = [...pairs.map(credentials), `Proxy-Authorization: Basic${' '.repeat(60_000)}!\r\n`];
  await statusOf(proxy.url, origin, credentials('apr1:first'));
  const before = process.cpuUsage();
  for (const field of fields) assert.equal(await statusOf(proxy.url, origin, field), 407);
  const { user } = process.cpuUsage(before);
  // apr1 alone took 200 ms, and the blanks four seconds, in which nothing else went on.
  assert.ok(user < 150_000, `${user / 1000} ms of CPU`);
  assert.equal(await statusOf(proxy.url, origin, credentials('apr1:secret')), 200);
});

test('a wrong password and an unknown name take alike', { skip: NO_HTPASSWD, timeout: 120_000 }, async () => {
  using folder = temporaryFolder();
  await using origin = await RawOrigin.listen(answering(() => ok('fine')));
  await using proxy = await startProxy({ clients: { users: htpasswd(folder.path) } });
  const times = new Map<string, number[]>(['bcrypt', 'sha', 'apr1', 'unknown'].map((user) => [user, []]));
  const usual = () =>
    [...times.values()].map((taken) => taken.toSorted((a, b) => a - b)[Math.floor(taken.length / 4)] ?? 0);
  // Without the comparison of bcrypt a user would take a sixth.
  const areAlike = (all: readonly number[]) => Math.max(...all) < 1.5 * Math.min(...all);
  // CPU of this process, which other work of the machine does not change. In turn, so that what a collection of garbage
  // adds is spread; never the same password, which is remembered.
  for (let round = 0; round < ROUNDS_MAX && (round < ROUNDS_MIN || !areAlike(usual())); round++) {
    for (const [user, taken] of times) {
      const before = process.cpuUsage();
      assert.equal(await statusOf(proxy.url, origin, credentials(`${user}:wrong ${round}`)), 407);
      const used = process.cpuUsage(before);
      taken.push((used.user + used.system) / 1_000);
    }
  }
  assert.ok(areAlike(usual()), `lower quartiles in ms: ${usual().map((ms) => ms.toFixed(2))}`);
});

test('bcrypt of cost 12 neither stalls the loop nor is asked twice', {
  skip: NO_HTPASSWD,
  timeout: 60_000,
}, async () => {
  using folder = temporaryFolder();
  const file = `${folder.path}/users`;
  execFileSync('htpasswd', ['-b', '-c', '-B', '-C', '12', file, 'ann', 'secret'], { stdio: 'ignore' });
  await using origin = await RawOrigin.listen(answering(() => ok('fine')));
  // Other work of the machine delays the event loop as well, but hardly each time; a comparison on it would.
  const delaysMs: number[] = [];
  while (delaysMs.length < ATTEMPTS_MAX && !delaysMs.some((ms) => ms < DELAY_MS_MAX)) {
    await using proxy = await startProxy({ clients: { users: file } });
    await statusOf(proxy.url, origin, '');
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    const before = process.cpuUsage();
    const statuses = await Promise.all(
      Array.from({ length: 200 }, () => statusOf(proxy.url, origin, credentials('ann:secret'))),
    );
    const { user, system } = process.cpuUsage(before);
    delay.disable();
    assert.deepEqual([...new Set(statuses)], [200]);
    // One comparison takes some 200 ms of a thread; 200 of them would take 40 s, on this machine and a busy one.
    assert.ok(user + system < 5e6, `${(user + system) / 1000} ms of CPU for 200 requests`);
    delaysMs.push(delay.percentile(99) / 1e6);
  }
  assert.ok(
    delaysMs.some((ms) => ms < DELAY_MS_MAX),
    `the loop stood still for ${delaysMs} ms`,
  );
});

test('a program that knows its users itself is asked, besides the file', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('fine')));
  await using proxy = await startProxy({
    clients: { users: { filed: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' } },
    authenticate: async ({ username, password }) => (password === 'open sesame' ? { id: `x-${username}` } : null),
    access: [{ name: 'ali', deny: { users: ['x-ali'] } }],
  });
  const ask = (fields: string) => statusOf(proxy.url, origin, fields);
  assert.equal(await ask(credentials('filed:secret')), 200);
  assert.equal(await ask(credentials('baba:open sesame')), 200);
  assert.equal(await ask(credentials('baba:open')), 407);
  assert.equal(await ask(credentials('ali:open sesame')), 403);
});

test('a client from another address is refused before the proxy asks for a password', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('fine')));
  await using proxy = await startProxy({
    clients: { allow: ['192.0.2.0/24'], users: { ann: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' } },
  });
  assert.equal(await statusOf(proxy.url, origin, credentials('ann:secret')), 403);
  await using other = await startProxy({ clients: { allow: ['127.0.0.0/8'] } });
  assert.equal(await statusOf(other.url, origin, ''), 200);
});

const BAD: readonly (readonly [what: string, yaml: string, line: RegExp])[] = [
  [
    'users that are not there',
    'clients:\n  users: none.htpasswd\n',
    /:3: clients\.users: \S*none\.htpasswd: cannot be read: there is no such file$/,
  ],
  [
    'a hash that is none',
    'clients:\n  users: { ann: secret }\n',
    /:3: clients\.users\.ann: "ann" is not a valid hash [^\n]*htpasswd -B$/,
  ],
  [
    'a negative rate',
    'limits:\n  bandwidth:\n    - { rate: -5 }\n',
    /:4: limits\.bandwidth\[0\]\.rate: -5 is not a rate/,
  ],
  [
    'a rule without a verdict',
    'access:\n  - { name: odd }\n',
    /:3: access\[0\]: needs exactly one verdict; write allow, deny or default$/,
  ],
  [
    'an unknown user',
    'clients:\n  users: { ann: "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=" }\naccess:\n  - deny: { users: [bob] }\n',
    /:5: access\[0\]\.deny\.users\[0\]: clients\.users has no "bob"$/,
  ],
  [
    'a key that is none',
    'limits:\n  bandwith: { rate: 5 }\n',
    /:3: limits\.bandwith: no such setting; did you mean bandwidth\?$/,
  ],
];

for (const [what, yaml, line] of BAD) {
  test(`${what} is one line with file, line and key, and exit 2`, async () => {
    using folder = temporaryFolder();
    const file = `${folder.path}/viaduct.yaml`;
    writeFileSync(file, `listen: 127.0.0.1:0\n${yaml}`);
    for (const words of [
      ['check', file],
      ['-c', file],
    ]) {
      const { code, err } = await viaductEnds(words);
      assert.equal(code, 2, err);
      assert.equal(err.trimEnd().split('\n').length, 1, err);
      assert.match(err.trimEnd(), line);
      assert.ok(err.startsWith(`${file}:`), err);
    }
  });
}

test('a reload of bad input changes nothing', async () => {
  using folder = temporaryFolder();
  const file = `${folder.path}/viaduct.yaml`;
  await using origin = await RawOrigin.listen(answering(() => ok('fine')));
  const good = 'listen: 127.0.0.1:0\nclients:\n  users: { ann: "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=" }\n';
  writeFileSync(file, good);
  using running = viaduct(['-c', file, '--log', 'off']);
  const url = /listening on (\S+)/.exec(await running.says('listening on '))?.[1] ?? '';
  writeFileSync(file, `${good}access:\n  - deny: { users: [bob] }\n`);
  await running.says(/:5: access\[0\]\.deny\.users\[0\]: clients\.users has no "bob"; nothing was changed\n/);
  assert.equal(await statusOf(url, origin, credentials('ann:secret')), 200);
  assert.equal(await statusOf(url, origin, ''), 407);
});
