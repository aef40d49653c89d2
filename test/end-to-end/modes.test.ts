import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { adminUnderTest, rowsIn } from '../support/admin.ts';
import { AuthenticatingProxy, asks, BASIC } from '../support/authenticating-proxy.ts';
import { viaductEnds } from '../support/cli.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** By which route a plain request went: the text that the origin or the upstream proxy answers with. */
async function answerOf(port: number, url: string): Promise<string> {
  using client = await rawClient(port);
  client.send(`GET ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\nConnection: close\r\n\r\n`);
  await client.ended();
  return client.text.split('\r\n\r\n')[1] ?? '';
}

for (const words of [[], ['--workers', '2']]) {
  test(`a mode takes the place of the PAC and of the proxies, and of nothing else ${words.join(' ')}`, async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('direct')));
    await using byPac = await RawOrigin.listen(answering(() => ok('by the PAC')));
    await using byProxy = await RawOrigin.listen(answering(() => ok('by the proxy')));
    await using byRule = await RawOrigin.listen(answering(() => ok('by the rule')));
    using folder = temporaryFolder();
    const file = join(folder.path, 'viaduct.yaml');
    const write = (level: string) =>
      writeFileSync(
        file,
        `access: [{ name: no, deny: { hosts: [127.0.0.9] } }, { default: allow }]
log: { level: ${level}, format: off }
routes:
  pac: 'data:,function FindProxyForURL() { return "PROXY ${byPac.authority}"; }'
  rules: [{ hosts: [127.0.0.8], via: http://${byRule.authority} }]
  proxy: http://${byProxy.authority}
`,
      );
    write('info');
    using at = await adminUnderTest(
      '--config',
      file,
      ...words,
      '--pac',
      `data:,function FindProxyForURL() { return "PROXY ${byPac.authority}"; }`,
    );
    const mode = async (...more: string[]) => {
      const { code, out, err } = await viaductEnds(['mode', ...more], at.environment);
      return code === 0 ? out.trim() : `${code} ${err.trim()}`;
    };
    const url = `http://${origin.authority}/`;
    // More than one, so that every worker is asked.
    const answers = async (of = url) =>
      [...new Set(await Promise.all(Array.from({ length: 8 }, () => answerOf(at.port, of))))].join();
    // On a busy machine a script may take longer than its second, and then the proxies decide.
    const isDecidedByPac = async () => {
      for (let tries = 0; tries < 20 && (await answers()) !== 'by the PAC'; tries++);
      assert.equal(await answers(), 'by the PAC');
    };
    await isDecidedByPac();
    assert.match(await mode(), /^configured: /);
    assert.equal(await mode('proxy'), 'proxy, until a reload or restart');
    assert.equal(await answers(), 'by the proxy');
    assert.match(await mode('direct', '--for', '15m'), /^direct, until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
    assert.equal(await answers(), 'direct');
    assert.equal(await answers(`http://127.0.0.8:${origin.port}/`), 'by the rule');
    assert.match(await answers(`http://127.0.0.9:${origin.port}/`), /no/);
    assert.match(
      await at.running.says('set the mode direct'),
      /admin: set the mode direct until .*Z, from the control socket/,
    );
    const { json } = await at.api('/api/status');
    const { until, ...rest } = Object(json).mode;
    assert.deepEqual(rest, { mode: 'direct', available: ['configured', 'pac', 'direct', 'proxy'] });
    const leftMs = Date.parse(until) - Date.now();
    assert.ok(leftMs > 13 * 60_000 && leftMs <= 15 * 60_000, until);
    const why = Object((await at.api(`/api/why?url=${url}`)).json);
    assert.deepEqual([why.mode.mode, why.routing.by], ['direct', { kind: 'mode', mode: 'direct' }]);
    const asked = await viaductEnds(['why', url, '--config', file, '--port', String(at.port)], at.environment);
    assert.match(asked.out, /^ {2}mode +direct, set by viaduct mode, until .*\n {2}route +direct$/m);
    const checked = await viaductEnds(['check', file, '--port', String(at.port)], at.environment);
    assert.match(checked.out, /^mode of the running proxy: direct, until /m);
    // A mode with an expiry holds over a reload, one without ends.
    write('warn');
    assert.equal(Object((await at.api('/api/reload', 'POST')).json).applied, true);
    assert.equal(await answers(), 'direct');
    assert.equal(await mode('pac'), 'pac, until a reload or restart');
    await isDecidedByPac();
    write('info');
    assert.equal(Object((await at.api('/api/reload', 'POST')).json).applied, true);
    assert.match(await mode(), /^configured: /);
    // It ends by itself.
    assert.equal((await at.api('/api/mode', 'PUT', { mode: 'direct', for: '3s' })).status, 200);
    assert.equal(await answers(), 'direct');
    await at.running.says('the mode direct is over: routes are as configured');
    await isDecidedByPac();
    assert.match(await mode('upwards'), /^2 viaduct: "upwards" is no mode; write pac, direct, proxy or configured$/);
    assert.match(await mode('direct', '--for', 'ages'), /^2 viaduct: --for "ages" is not a duration/);
    assert.match(await mode('direct', '--for', '8d'), /^2 viaduct: .*at most 7d/);
    assert.deepEqual(rowsIn((await at.api('/api/tunnels')).json), []);
  });
}

for (const words of [[], ['--workers', '2']]) {
  test(`viaduct mode lets a rejected password be tried once more ${words.join(' ')}`, async () => {
    await using upstream = await AuthenticatingProxy.listen(() => asks(BASIC));
    using at = await adminUnderTest('--proxy', `http://me:wrong@${upstream.origin.authority}`, ...words);
    const proofs = () => upstream.requests.filter(({ credentials }) => credentials !== undefined).length;
    const tryOnce = async () => {
      using client = await rawClient(at.port);
      client.send(connectTo('www.example.com:443'));
      await client.ended();
      assert.match(client.text, /^HTTP\/1\.1 502 /);
    };
    const tryAll = () => Promise.all(Array.from({ length: 8 }, tryOnce));
    await tryAll();
    assert.equal(proofs(), 1);
    assert.equal((await viaductEnds(['mode', 'proxy'], at.environment)).code, 0);
    await tryAll();
    assert.equal(proofs(), 2);
  });
}

test('a mode for which nothing is configured is refused', async () => {
  using at = await adminUnderTest();
  const { status, json } = await at.api('/api/mode', 'POST', { mode: 'pac' });
  assert.deepEqual([status, Object(json).error.message], [409, 'There is nothing to switch to: routes.pac is none.']);
  const { code, err } = await viaductEnds(['mode', 'proxy'], at.environment);
  assert.deepEqual([code, err], [1, 'viaduct: There is nothing to switch to: routes.proxy names no proxy.\n']);
});

test('where others are served, a mode needs admin.modes: true', async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'viaduct.yaml');
  const start = (modes: boolean) => {
    writeFileSync(
      file,
      `listen: 0.0.0.0:0\nclients: { allow: [127.0.0.0/8] }\nadmin: { listen: 127.0.0.1:0, modes: ${modes} }\nroutes: { pac: none }\n`,
    );
    return adminUnderTest('--config', file);
  };
  {
    using at = await start(false);
    const { status, json } = await at.api('/api/mode', 'POST', { mode: 'direct' });
    assert.deepEqual([status, Object(json).error.code], [403, 'modes']);
    const { code, err } = await viaductEnds(['mode', 'direct'], at.environment);
    assert.deepEqual([code, /admin\.modes: true/.test(err)], [1, true]);
  }
  using at = await start(true);
  assert.equal((await at.api('/api/mode', 'POST', { mode: 'direct' })).status, 200);
});
