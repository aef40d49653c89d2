/** A configuration that changes while the proxy serves: written in steps, replaced or emptied, and of any size. */
import assert from 'node:assert/strict';
import { appendFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { type ConfigInput, resolveOptions } from '../../src/config/schema.ts';
import { type Clock, systemClock } from '../../src/util/clock.ts';
import { viaduct } from '../support/cli.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { rawClient } from '../support/raw-client.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** The status of a plain request for a host that does not exist but for its rule. */
async function statusOf(port: number, host: string): Promise<string> {
  const client = await rawClient(port);
  client.send(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  const head = await client.until('\r\n\r\n');
  client[Symbol.dispose]();
  return head.split(' ')[1] ?? '';
}

/** Between two writes of a program that writes a file in steps: the pauses are the case that is tested. */
const PAUSE_MS = 100;
/** Long enough for a reload that must not happen. */
const SILENCE_MS = 1_500;

const BASE = 'listen: 127.0.0.1:0\nlog: { format: off }\n';
const DENY = `${BASE}access: [{ deny: { hosts: [a.invalid] } }, { default: deny }]\n`;

test('a file that is emptied and then written is read when it is whole', { timeout: 60_000 }, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'viaduct.yaml');
  writeFileSync(path, DENY);
  using running = viaduct(['-c', path]);
  const port = await running.port();
  truncateSync(path);
  await wait(PAUSE_MS);
  appendFileSync(path, `${BASE}name: two\n`);
  await wait(PAUSE_MS);
  // Half of it would allow everything.
  appendFileSync(path, 'access: [{ default: deny }]\n');
  const said = await running.says(/reloaded: .*\n/);
  assert.match(said, /viaduct\.yaml: reloaded: access\[0\], access\[1\], name\n/);
  assert.doesNotMatch(said, /nothing was changed|was removed/);
  assert.equal(await statusOf(port, 'b.invalid'), '403');
});

test('an empty file changes nothing, and a removal is logged', { timeout: 60_000 }, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'viaduct.yaml');
  writeFileSync(path, DENY);
  using running = viaduct(['-c', path]);
  const port = await running.port();
  truncateSync(path);
  await running.says(/viaduct\.yaml: is empty, .*; nothing was changed\n/);
  running.child.kill('SIGHUP');
  await running.says(/is empty, .*; nothing was changed\n[\s\S]*is empty, /);
  assert.equal(await statusOf(port, 'a.invalid'), '403');
  writeFileSync(path, `${BASE}name: open\n`);
  await running.says(/viaduct\.yaml: access was removed: no rule limits any more where clients may go\n/);
  assert.notEqual(await statusOf(port, 'a.invalid'), '403');
});

test('with reload: signal only SIGHUP reloads, once for several in a second', { timeout: 60_000 }, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'viaduct.yaml');
  const write = (name: string) => {
    writeFileSync(`${path}.new`, `${BASE}reload: signal\nname: ${name}\n`);
    renameSync(`${path}.new`, path);
  };
  write('one');
  using running = viaduct(['-c', path]);
  await running.port();
  write('two');
  // Nothing may happen: a watch would have reported it at once.
  await wait(SILENCE_MS);
  for (let n = 0; n < 5; n++) running.child.kill('SIGHUP');
  await running.says(/reloaded: name\n/);
  // Nothing more may happen: this is longer than the second after which late signals are looked at.
  await wait(SILENCE_MS);
  running.child.kill('SIGTERM');
  const { err } = await running.ended;
  assert.equal(err.match(/viaduct\.yaml: /g)?.length, 1, err);
});

for (const workers of [1, 2])
  test(`a file of hosts is watched, and ${workers} process(es) follow it`, {
    timeout: 120_000,
    skip: workers > 1 && process.platform !== 'linux' && 'several processes share a port on Linux',
  }, async () => {
    using folder = temporaryFolder();
    const [path, list] = [join(folder.path, 'viaduct.yaml'), join(folder.path, 'blocked.txt')];
    const names = Array.from({ length: 3000 }, (_, at) => `h${at}.invalid\n`).join('');
    writeFileSync(list, `# blocked\n${names}`);
    const rules = 'access: [{ name: blocked, deny: { hosts: "file:blocked.txt", ports: [80] } }]\n';
    writeFileSync(
      path,
      `${BASE}routes: { rules: [{ hosts: [proxied.invalid], via: "http://u:p@127.0.0.1:1" }] }\n${rules}`,
    );
    using running = viaduct(['-c', path, '--workers', String(workers)]);
    const port = await running.port();
    assert.equal(await statusOf(port, 'h2999.invalid'), '403');
    assert.notEqual(await statusOf(port, 'other.invalid'), '403');
    appendFileSync(list, 'other.invalid\n');
    await running.says(/viaduct\.yaml: reloaded: access\[0\]\n/);
    // Whichever process the kernel chooses.
    for (let n = 0; n < 8; n++) assert.equal(await statusOf(port, 'other.invalid'), '403');
    assert.equal(await statusOf(port, 'h0.invalid'), '403');
    truncateSync(list);
    await running.says(
      /access\[0\]\.deny\.hosts: .*blocked\.txt: names no host; write one on each line; nothing was changed\n/,
    );
    for (let n = 0; n < 8; n++) assert.equal(await statusOf(port, 'other.invalid'), '403');
  });

/** Moves on by a millisecond each time that it is read. */
class CountedClock implements Clock {
  #ms = 0;
  now(): number {
    return systemClock.now() + this.#ms++;
  }
  wallMs(): number {
    return systemClock.wallMs();
  }
  after(delayMs: number, task: () => void): Disposable {
    return systemClock.after(delayMs, task);
  }
}

const many = (count: number, prefix: string): string[] =>
  Array.from({ length: count }, (_, at) => `${prefix}${at}.invalid`);
for (const [what, settings] of [
  ['access rules', { access: many(2000, 'a').map((host) => ({ deny: { hosts: [host], ports: [80] } })) }],
  ['hosts of one rule', { access: [{ deny: { hosts: many(20_000, 'a'), ports: [80], methods: ['GET'] } }] }],
  ['rules of routes', { routes: { rules: many(2000, 'r').map((host) => ({ hosts: [host], via: 'direct' })) } }],
  ['exceptions of routes', { routes: { noProxy: many(2000, 'n') } }],
  ['limits', { limits: { bandwidth: many(2000, 'l').map((host) => ({ match: { hosts: [host] }, rate: '1MiB' })) } }],
  ['blocks of the guard', { guard: { deny: many(2000, '').map((_, at) => `10.${at >> 8}.${at & 255}.0/24`) } }],
  [
    'addresses of clients',
    { clients: { allow: ['127.0.0.1', ...many(2000, '').map((_, at) => `10.1.${at >> 8}.${at & 255}`)] } },
  ],
  [
    'users',
    {
      clients: {
        users: Object.fromEntries(many(2000, 'u').map((name) => [name, '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ='])),
      },
    },
  ],
] satisfies [string, ConfigInput][])
  test(
    `a reload with thousands of ${what} leaves turns of the event loop to requests`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen(answering(() => ok('hello')));
      await using proxy = await ProxyUnderTest.start({}, { clock: new CountedClock() });
      const next = resolveOptions({ listen: 'http://127.0.0.1:0', log: { format: 'off' }, ...settings });
      let turns = 0;
      let isDone = false;
      const count = (): void => {
        turns++;
        if (!isDone) setImmediate(count);
      };
      setImmediate(count);
      const prepared = await proxy.proxy.prepare(next);
      isDone = true;
      assert.ok(turns > 100, `${turns} turns`);
      await prepared.commit();
      const client = await proxy.client();
      client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`);
      assert.match(await client.until('\r\n\r\n'), what === 'users' ? /^HTTP\/1\.1 407 / : /^HTTP\/1\.1 200 /);
      client[Symbol.dispose]();
    }),
  );
