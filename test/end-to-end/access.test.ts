import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { type ProxyOptions, type ProxyRecord, startProxy } from '../../src/index.ts';
import { viaductEnds } from '../support/cli.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { portOf } from '../support/traffic.ts';

/** A proxy to which every name is 127.0.0.1, and one origin. */
async function stage(options: ProxyOptions) {
  const origin = await RawOrigin.listen(answering(() => ok('fine')));
  const proxy = await startProxy({ lookup: async () => ['127.0.0.1'], ...options });
  const records: ProxyRecord[] = [];
  let waiting: (() => void) | undefined;
  proxy.on('close', ({ record }) => {
    records.push(record);
    waiting?.();
  });
  const send = async (request: string): Promise<string> => {
    using client = await rawClient(portOf(proxy.url));
    client.send(request);
    return await client.until(/\r\n\r\n.*\n|fine$|HTTP\/1\.1 200 Connection established\r\n\r\n/s);
  };
  const port = origin.port;
  return {
    port,
    /** Records of so many requests, once they have ended. */
    async recorded(count: number): Promise<readonly ProxyRecord[]> {
      while (records.length < count) await new Promise<void>((resolve) => (waiting = resolve));
      return records;
    },
    get: (host: string, at = port) => send(`GET http://${host}:${at}/ HTTP/1.1\r\nHost: ${host}:${at}\r\n\r\n`),
    post: (host: string) =>
      send(`POST http://${host}:${port}/ HTTP/1.1\r\nHost: ${host}:${port}\r\nContent-Length: 0\r\n\r\n`),
    connect: (host: string, at = port) => send(`CONNECT ${host}:${at} HTTP/1.1\r\nHost: ${host}:${at}\r\n\r\n`),
    async [Symbol.asyncDispose]() {
      await proxy.close();
      await origin[Symbol.asyncDispose]();
    },
  };
}
const statusOf = (answer: string): number => Number(answer.split(' ')[1]);

test('the first rule that matches decides, and the refusal and the record name it', async () => {
  await using at = await stage({
    access: [
      { name: 'but this one', allow: { hosts: ['good.ads.example'] } },
      { name: 'ads', deny: { hosts: ['.ads.example', 'track*.example'] } },
      { name: 'read only', deny: { methods: ['POST'], hosts: ['docs.example'] } },
      { default: 'allow' },
    ],
  });
  assert.equal(statusOf(await at.get('good.ads.example')), 200);
  assert.equal(statusOf(await at.connect('good.ads.example')), 200);
  for (const host of ['ads.example', 'a.b.ads.example', 'tracker.example', 'ADS.example']) {
    const refused = await at.get(host);
    assert.equal(statusOf(refused), 403, host);
    assert.match(refused, /The rule is called "ads"\./);
    assert.match(refused, /^Proxy-Status: viaduct; error=http_request_denied\r$/m);
    assert.equal(statusOf(await at.connect(host)), 403, host);
  }
  assert.equal(statusOf(await at.get('docs.example')), 200);
  assert.equal(statusOf(await at.post('docs.example')), 403);
  const rules = (await at.recorded(12)).map(({ rule }) => rule);
  assert.deepEqual(rules.sort(), [...Array(8).fill('ads'), 'but this one', 'but this one', 'default', 'read only']);
});

test('a trailing dot, another case or another spelling of an address does not evade a rule', async () => {
  await using at = await stage({
    access: [
      { name: 'blocked', deny: { hosts: ['blocked.example', '.corp.example', '192.0.2.0/24'] } },
      { default: 'allow' },
    ],
  });
  for (const host of [
    'blocked.example.',
    'BLOCKED.EXAMPLE.',
    'a.corp.example.',
    '192.0.2.7',
    '[::ffff:192.0.2.7]',
    '[::ffff:c000:207]',
    '[64:ff9b::192.0.2.7]',
    '[2002:c000:207::1]',
  ]) {
    assert.equal(statusOf(await at.get(host)), 403, host);
    assert.equal(statusOf(await at.connect(host)), 403, host);
  }
  assert.equal(statusOf(await at.get('blocked.example.com')), 200);
});

test('a rule that only reports lets everything pass and logs what it would have done', async () => {
  await using at = await stage({
    access: [
      { name: 'trial', deny: { hosts: ['.new.example'] }, report: true },
      { name: 'old', allow: { hosts: ['.new.example'] } },
      { default: 'deny' },
    ],
  });
  assert.equal(statusOf(await at.get('a.new.example')), 200);
  assert.equal(statusOf(await at.get('other.example')), 403);
  assert.deepEqual(
    (await at.recorded(2)).map(({ rule, wouldDeny }) => [rule, wouldDeny]),
    [
      ['old', 'trial'],
      ['default', undefined],
    ],
  );
});

test('a rule holds in its window of time, and not outside', async () => {
  const hour = (offset: number) => new Date(Date.now() + offset * 3_600_000).toISOString().slice(11, 16);
  const now = { from: hour(-2), to: hour(2), zone: 'UTC' };
  const later = { from: hour(2), to: hour(6), zone: 'UTC' };
  await using at = await stage({
    access: [
      { name: 'closed', deny: { hosts: ['open.example'], times: [later] } },
      { name: 'open', deny: { hosts: ['shut.example'], times: [later, now] } },
    ],
  });
  assert.equal(statusOf(await at.get('open.example')), 200);
  assert.equal(statusOf(await at.get('shut.example')), 403);
});

test('a program may allow and deny, after the rules', async () => {
  await using at = await stage({
    access: [{ name: 'file', deny: { hosts: ['a.example'] } }],
    authorize: (ctx) => (ctx.target.host === 'b.example' ? ctx.deny('not on my watch') : ctx.allow()),
  });
  assert.match(await at.get('a.example'), /The rule is called "file"\./);
  assert.match(await at.get('b.example'), /The rule is called "not on my watch"\./);
  assert.equal(statusOf(await at.get('c.example')), 200);
});

test('an exposed listener that any client could use is refused, and the message says what to add', async () => {
  const message =
    /everyone who reaches (0\.0\.0\.0|::) could use this proxy: add `clients: \{ users: users\.htpasswd \}` \(--auth\) or `clients: \{ allow: \[10\.0\.0\.0\/8\] \}` \(--allow\), or set --open$/;
  for (const address of ['0.0.0.0', '[::]']) {
    const { code, err } = await viaductEnds(['-l', address, '-p', '0']);
    assert.equal(code, 2);
    assert.match(err.trimEnd(), message);
  }
  using folder = temporaryFolder();
  const file = `${folder.path}/viaduct.yaml`;
  writeFileSync(file, 'log: { format: off }\nlisten:\n  - localhost:0\n  - 0.0.0.0:0\n');
  const { code, err } = await viaductEnds(['-c', file]);
  assert.equal(code, 2);
  assert.ok(err.startsWith(`${file}:2: listen: everyone who reaches 0.0.0.0`), err);
  // A program has no flags: it reads what it would write.
  await assert.rejects(
    startProxy({ listen: '0.0.0.0:0' }),
    /everyone who reaches 0\.0\.0\.0 could use this proxy: add an `authenticate` hook, `clients: \{ users: 'users\.htpasswd' \}` or `clients: \{ allow: \['10\.0\.0\.0\/8'\] \}`, or set `open: true`$/,
  );
});

test('a file may have one value in the place of a list, and a wrong one is named with its line', async () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/viaduct.yaml`;
  const checked = async (text: string) => {
    writeFileSync(path, text);
    return await viaductEnds(['check', path]);
  };
  const one = `access:
  - deny: { hosts: .ads.example, ports: 80, times: { days: mon-fri, from: "08:00", to: "18:00" } }
  - { default: allow }
guard: { deny: private, allow: 10.20.0.0/16 }
clients: { allow: 127.0.0.0/8 }
limits: { bandwidth: { rate: 1MiB, match: { hosts: .far.example, clients: 10.0.0.1, ports: 443 } } }
routes: { rules: [{ hosts: .corp.example, ports: 443, via: direct }] }
credentials: { allow: .corp.example }
`;
  const { code, err } = await checked(one);
  assert.deepEqual([code, err], [0, '']);
  for (const [text, line] of [
    ['access:\n  - deny: { ports: 70000 }\n', /^.*viaduct\.yaml:2: access\[0\]\.deny\.ports: .*65535/],
    ['access:\n  - deny: { ports: [1.5] }\n', /^.*viaduct\.yaml:2: access\[0\]\.deny\.ports/],
    ['access:\n  - deny: { hosts: "a b" }\n', /^.*:2: access\[0\]\.deny\.hosts: is not a valid host/],
    [
      'access:\n  - deny: { times: { from: "8" } }\n',
      /^.*:2: access\[0\]\.deny\.times\.from: is not a valid time of day/,
    ],
    [
      'access:\n  - deny: { times: { form: "08:00" } }\n',
      /^.*:2: access\[0\]\.deny\.times\.form: no such setting; did you mean from/,
    ],
    ['access:\n  - deny: { hosts: [] }\n', /^.*:2: access\[0\]\.deny\.hosts: is empty/],
    ['access:\n  - deny: { hosts: 5 }\n', /^.*:2: access\[0\]\.deny\.hosts: is 5/],
  ] as const) {
    const wrong = await checked(text);
    assert.equal(wrong.code, 2, text);
    assert.match(wrong.err, line);
  }
});
