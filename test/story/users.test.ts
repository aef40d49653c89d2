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

test("users of Debian's htpasswd come in with their password, and nobody else does", {
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
    credentials('nobody:secret'),
    credentials('BCRYPT:secret'),
    credentials(':secret'),
    credentials('bcrypt:secret') + credentials('bcrypt:secret'),
    'Proxy-Authorization: Basic !!!\r\n',
    'Proxy-Authorization: Bearer secret\r\n',
    'Authorization: Basic YmNyeXB0OnNlY3JldA==\r\n',
  ]) {
    assert.equal(await ask(fields), 407, fields);
  }
  assert.equal(origin.text.match(/^GET /gm)?.length, 3, 'the origin saw those who came in, and nothing else');
  assert.doesNotMatch(origin.text, /proxy-authorization/i);
});

test('a wrong password and an unknown name take alike', { skip: NO_HTPASSWD, timeout: 30_000 }, async () => {
  using folder = temporaryFolder();
  await using origin = await RawOrigin.listen(answering(() => ok('fine')));
  await using proxy = await startProxy({ clients: { users: htpasswd(folder.path) } });
  const times = new Map<string, number[]>(['bcrypt', 'sha', 'apr1', 'nobody'].map((user) => [user, []]));
  // In turn, so that whatever else the machine does hits all of them; never the same password, which is remembered.
  for (let round = 0; round < 20; round++) {
    for (const [user, taken] of times) {
      const startedMs = performance.now();
      assert.equal(await statusOf(proxy.url, origin, credentials(`${user}:wrong ${round}`)), 407);
      taken.push(performance.now() - startedMs);
    }
  }
  const usual = [...times.values()].map((taken) => taken.sort((a, b) => a - b)[Math.floor(taken.length / 4)] ?? 0);
  const [least, most] = [Math.min(...usual), Math.max(...usual)];
  // Whoever did without the comparison of bcrypt would take a sixth.
  assert.ok(most < 1.5 * least, `lower quartiles in ms: ${usual.map((ms) => ms.toFixed(2))}`);
});

test('bcrypt of cost 12 neither stalls the loop nor is asked twice', {
  skip: NO_HTPASSWD,
  timeout: 60_000,
}, async () => {
  using folder = temporaryFolder();
  const file = `${folder.path}/users`;
  execFileSync('htpasswd', ['-b', '-c', '-B', '-C', '12', file, 'ann', 'secret'], { stdio: 'ignore' });
  await using origin = await RawOrigin.listen(answering(() => ok('fine')));
  await using proxy = await startProxy({ clients: { users: file } });
  await statusOf(proxy.url, origin, '');
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const startedMs = performance.now();
  const statuses = await Promise.all(
    Array.from({ length: 200 }, () => statusOf(proxy.url, origin, credentials('ann:secret'))),
  );
  const tookMs = performance.now() - startedMs;
  delay.disable();
  assert.deepEqual([...new Set(statuses)], [200]);
  // One comparison takes some 200 ms of a thread; 200 of them would take 20 s on two.
  assert.ok(tookMs < 5000, `${tookMs} ms for 200 requests`);
  assert.ok(delay.percentile(99) / 1e6 < 150, `the loop stood still for ${delay.percentile(99) / 1e6} ms`);
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

test('whoever comes from elsewhere is refused before anybody asks for a password', async () => {
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
    /:3: clients\.users\.ann: "ann" is no hash [^\n]*htpasswd -B$/,
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
    'a user whom nobody knows',
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
