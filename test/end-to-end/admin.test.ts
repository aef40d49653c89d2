import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { hostname, networkInterfaces, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { askControl } from '../../src/admin/instances.ts';
import { loadAddon } from '../../src/native/addon.ts';
import { type AdminUnderTest, adminUnderTest as admin, rowsIn } from '../support/admin.ts';
import { viaduct, viaductEnds } from '../support/cli.ts';
import { RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { until } from '../support/until.ts';

test('a running proxy writes down where it is, for its user alone, and takes that back', async () => {
  using at = await admin();
  const { instance, state } = at;
  assert.equal(instance.pid, at.running.child.pid);
  assert.match(instance.admin ?? '', /^http:\/\/127\.0\.0\.1:\d+$/);
  const modes = [join(state, 'instances', `${instance.pid}.json`), instance.control, join(state, 'admin-token')];
  assert.deepEqual(
    modes.map((path) => statSync(path).mode & 0o777),
    [0o600, 0o600, 0o600],
  );
  assert.equal(statSync(join(state)).mode & 0o777, 0o700);
  at.running.child.kill('SIGTERM');
  assert.equal((await at.running.ended).code, 0);
  assert.deepEqual(readdirSync(join(state, 'instances')), []);
  assert.ok(!existsSync(instance.control));
});

test('viaduct token prints the token of the running proxy, a link that works once, and replaces it', async () => {
  using at = await admin();
  const token = async (...words: string[]) => (await viaductEnds(['token', ...words], at.environment)).out.trim();
  assert.equal(await token(), at.token);
  const link = new URL(await token('--link'));
  assert.equal(link.origin, at.instance.admin);
  const signIn = () => at.api('/api/session', 'POST', { code: link.hash.replace('#code=', '') });
  assert.deepEqual(await signIn(), { status: 200, json: { token: at.token } });
  assert.equal((await signIn()).status, 401);
  const next = await token('--rotate');
  assert.notEqual(next, at.token);
  assert.equal((await at.api('/api/status')).status, 401);
  assert.equal(await token(), next);
});

test('viaduct token says what to do where no proxy runs', async () => {
  using folder = temporaryFolder();
  const { code, err } = await viaductEnds(['token'], { XDG_STATE_HOME: folder.path });
  assert.equal(code, 2);
  assert.match(err, /^viaduct: no proxy of this user is running; start one with viaduct run\n$/);
});

test('the control socket needs no token; --no-admin leaves it alone', async () => {
  using folder = temporaryFolder();
  const words = ['run', '--port', '0', '--pac', 'none', '--no-admin'];
  using running = viaduct(words, { XDG_STATE_HOME: folder.path, XDG_RUNTIME_DIR: folder.path });
  await running.says('relay: ');
  const control = join(folder.path, 'viaduct', `control-${running.child.pid}.sock`);
  // The record is written after the line.
  const record = join(folder.path, 'viaduct', 'instances', `${running.child.pid}.json`);
  await until(() => existsSync(record), 'the record of the proxy');
  assert.equal((await askControl(control, 'GET', '/api/status')).status, 200);
  running.child.kill('SIGTERM');
  const { err } = await running.ended;
  assert.doesNotMatch(err, /dashboard/);
});

const notRoot = () => process.getuid?.() !== 0 && 'only root can be another user';

test('another user is refused at the control socket, also where its modes let everyone in', {
  skip: notRoot() || missing('curl', 'util-linux') || (loadAddon().addon === undefined && 'the addon is not built'),
}, async () => {
  using at = await admin();
  const { control } = at.instance;
  chmodSync(control, 0o666);
  for (let folder = dirname(control); folder !== tmpdir() && folder !== '/'; folder = dirname(folder))
    chmodSync(folder, 0o755);
  const curl = ['curl', '-s', '--noproxy', '*', '--unix-socket', control, 'http://localhost/api/status'];
  const own = await run('curl', curl.slice(1));
  assert.match(own.out, /"pid"/);
  const other = await run('setpriv', ['--reuid', '65534', '--regid', '65534', '--clear-groups', ...curl]);
  assert.equal(other.out, '');
  assert.match(
    await at.running.says('refused the user'),
    /admin: refused the user with the id 65534 at the control socket/,
  );
});

test('the proxy never connects to its admin address by any of its names (CVE-2025-23217)', async () => {
  using at = await admin('--admin', '[::1]:0');
  const { json } = await at.api('/api/status');
  assert.ok(json);
  const port = new URL(at.instance.admin ?? '').port;
  const own = Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));
  assert.ok(own.length > 0);
  const names = [
    'localhost',
    'LOCALHOST.',
    '127.0.0.1',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[64:ff9b::127.0.0.1]',
    '0.0.0.0',
  ];
  for (const host of names) {
    for (const head of [
      `CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}`,
      `GET http://${host}:${port}/ HTTP/1.1\r\nHost: ${host}:${port}`,
      `GET http://${host}:${port}/api/status HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${at.token}`,
      `GET http://${host}:${port}/api/status HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer ${at.token}`,
    ]) {
      using client = await rawClient(at.port);
      client.send(`${head}\r\n\r\n`);
      await client.until('\r\n\r\n');
      assert.match(client.text, /^HTTP\/1\.1 (?:508|502|403|400) /, `${head}: ${client.text}`);
      assert.doesNotMatch(client.text, /"pid"|<title>Viaduct<\/title>/);
    }
  }
  // Origin-form at the proxy's own port is the proxy's own page, with any Host field.
  using client = await rawClient(at.port);
  client.send(`GET /api/status HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${at.token}\r\n\r\n`);
  await client.until('\r\n\r\n');
  assert.match(client.text, /^HTTP\/1\.1 4\d\d /);
  assert.ok(hostname().length > 0);
});

test('workers know the admin address of the primary, too', async () => {
  using at = await admin('--workers', '2');
  const port = new URL(at.instance.admin ?? '').port;
  for (let n = 0; n < 6; n++) {
    using client = await rawClient(at.port);
    client.send(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
    await client.until('\r\n\r\n');
    assert.match(client.text, /^HTTP\/1\.1 508 /);
  }
  const { json } = await at.api('/api/status');
  assert.deepEqual([Object(json).workers, Object(json).draining], [2, false]);
});

for (const words of [[], ['--workers', '2']])
  test(`an admin address that another program has is refused before anything is served ${words.join(' ')}`, async () => {
    await using other = await RawOrigin.listen(() => undefined);
    const address = `127.0.0.1:${other.port}`;
    const ended = await viaductEnds(['run', '--port', '0', '--pac', 'none', '--admin', address, ...words]);
    assert.deepEqual([ended.code, ended.out], [2, '']);
    assert.match(ended.err, new RegExp(`^viaduct: cannot listen on ${address}: [^\\n]+\\n$`));
  });

test('an exposed admin listener without token and tls ends with exit code 2', async () => {
  const { code, err } = await viaductEnds(['run', '--port', '0', '--admin', '0.0.0.0:0']);
  assert.equal(code, 2);
  assert.match(err, /--admin: others can reach 0\.0\.0\.0: add `token: env:NAME` and `tls: \{ cert, key \}` to admin/);
});

/** The events of a stream, one after the other. */
async function* eventsOf(
  at: AdminUnderTest,
): AsyncGenerator<{ readonly event: string; readonly data: Record<string, unknown> }> {
  const stop = new AbortController();
  const headers = { authorization: `Bearer ${at.token}` };
  const response = await fetch(`${at.instance.admin}/api/events`, { headers, signal: stop.signal });
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  let text = '';
  try {
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString('utf8');
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const [, event = '', data = ''] = /^event: (\w+)\ndata: (.*)$/s.exec(text.slice(0, end)) ?? [];
        text = text.slice(end + 2);
        if (event !== '') yield { event, data: JSON.parse(data) };
      }
    }
  } finally {
    stop.abort();
  }
}

for (const words of [[], ['--workers', '2']]) {
  test(`tunnels are listed, shown as they change, and ended ${words.join(' ')}`, async () => {
    await using target = await RawOrigin.listen((peer) => peer.send('hello'));
    using at = await admin(...words);
    const events = eventsOf(at);
    // Generators of Node 22 cannot be disposed.
    await using _ended = { [Symbol.asyncDispose]: async () => void (await events.return(undefined)) };
    const next = async () => (await events.next()).value;
    const first = await next();
    assert.deepEqual([first?.event, rowsIn(first?.data)], ['snapshot', []]);
    using client = await rawClient(at.port);
    client.send(`CONNECT 127.0.0.1:${target.port} HTTP/1.1\r\nHost: 127.0.0.1:${target.port}\r\n\r\n`);
    await client.until('hello');
    let event = await next();
    for (; event?.event !== 'change' || rowsIn(event.data).length === 0; event = await next());
    const [row = {}] = rowsIn(event.data);
    assert.equal(Object.keys(row)[0], 'id');
    const shown = { kind: row.kind, target: row.target, client: row.client, route: row.route };
    assert.deepEqual(shown, {
      kind: 'tunnel',
      target: `127.0.0.1:${target.port}`,
      client: '127.0.0.1',
      route: 'direct',
    });
    const listed = rowsIn((await at.api('/api/tunnels')).json);
    assert.deepEqual(
      listed.map(({ id, state, bytesDown }) => ({ id, state, bytesDown })),
      [{ id: row.id, state: 'relay', bytesDown: 5 }],
    );
    assert.equal((await at.api(`/api/tunnels/${row.id}`, 'DELETE', { reason: 'a test\nends it' })).status, 204);
    await client.ended();
    for (; rowsIn(event?.data, 'closed').length !== 1; event = await next());
    const [closed = {}] = rowsIn(event?.data, 'closed');
    assert.deepEqual([closed.id, closed.failure, closed.detail], [row.id, 'terminated', 'a test ends it']);
    assert.equal((await at.api(`/api/tunnels/${row.id}`, 'DELETE')).status, 404);
    const all = rowsIn((await at.api('/api/tunnels?closed=1')).json);
    assert.deepEqual(
      all.map(({ id, state }) => [id, state]),
      [[row.id, 'closed']],
    );
    assert.deepEqual((await at.api('/api/tunnels/end', 'POST', { ids: [row.id] })).json, { ended: 0 });
    assert.match(
      await at.running.says('admin: ended'),
      /admin: ended 1 request \("a test ends it"\), from 127\.0\.0\.1/,
    );
  });
}

for (const words of [[], ['--workers', '2']]) {
  test(`a rate that the API sets holds until a reload ${words.join(' ')}`, async () => {
    using folder = temporaryFolder();
    const file = join(folder.path, 'viaduct.yaml');
    const write = (name: string) =>
      writeFileSync(file, `name: ${name}\nlimits: { bandwidth: { name: all, rate: 1MiB }, tunnels: { total: 10 } }\n`);
    write('one');
    using at = await admin('--config', file, ...words);
    const rates = async () =>
      rowsIn((await at.api('/api/limits')).json, 'limits').map(({ name, rate }) => [name, rate]);
    assert.deepEqual((await rates())[0], ['all', 1_048_576]);
    const { status, json } = await at.api('/api/limits/all', 'PUT', { rate: '64KiB' });
    assert.deepEqual([status, Object(json).rate], [200, 65_536]);
    assert.deepEqual((await rates())[0], ['all', 65_536]);
    assert.equal((await at.api('/api/limits/none', 'PUT', { rate: 1 })).status, 404);
    assert.equal((await at.api('/api/limits/all', 'PUT', { rate: 'fast' })).status, 400);
    assert.equal((await at.api('/api/limits/all', 'PUT')).status, 400);
    const [tunnels = {}] = rowsIn((await at.api('/api/limits')).json, 'limits').filter(
      ({ kind }) => kind === 'tunnels',
    );
    assert.equal((await at.api(`/api/limits/${tunnels.name}`, 'PUT', { rate: 1 })).status, 409);
    const settings = rowsIn((await at.api('/api/config')).json, 'settings');
    assert.deepEqual(
      settings.find(({ path }) => path === 'name'),
      { path: 'name', value: '"one"', origin: `${file}:1` },
    );
    write('two');
    const reloaded = await at.api('/api/reload', 'POST');
    assert.deepEqual(reloaded, { status: 200, json: { applied: true, message: `${file}: reloaded: name` } });
    assert.deepEqual((await rates())[0], ['all', 1_048_576]);
    writeFileSync(file, 'nam: three\n');
    const refused = Object((await at.api('/api/reload', 'POST')).json);
    assert.equal(refused.applied, false);
    assert.match(refused.message, /viaduct\.yaml:1: nam.*nothing was changed$/);
  });

  test(`the API says what the proxy would decide ${words.join(' ')}`, async () => {
    using at = await admin(...words);
    const { status, json } = await at.api('/api/why?url=http%3A%2F%2F127.0.0.1%3A9%2F%3Ftoken%3Dsecret');
    assert.equal(status, 200);
    assert.equal(Object(json).target.port, 9);
    assert.equal(Object(json).decision.verdict, 'allow');
    assert.equal((await at.api('/api/why')).status, 400);
    assert.equal((await at.api('/api/why?url=ftp%3A%2F%2Fa.example')).status, 400);
    assert.equal((await at.api('/api/why?url=a.example&from=here')).status, 400);
  });

  test(`a drain ends the process, or only its service ${words.join(' ')}`, async () => {
    await using target = await RawOrigin.listen((peer) => peer.send('hello'));
    using at = await admin(...words);
    using client = await rawClient(at.port);
    client.send(`CONNECT 127.0.0.1:${target.port} HTTP/1.1\r\nHost: 127.0.0.1:${target.port}\r\n\r\n`);
    await client.until('hello');
    assert.equal((await at.api('/readyz')).status, 200);
    assert.deepEqual(await at.api('/api/drain', 'POST', { exit: false }), { status: 202, json: { open: 1 } });
    assert.deepEqual(await at.api('/readyz'), { status: 503, json: { status: 'draining' } });
    assert.equal((await at.api('/healthz')).status, 200);
    await assert.rejects(
      rawClient(at.port).then(async (late) => {
        late.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
        if ((await late.ended()) !== 'open') throw new Error('closed');
      }),
    );
    client.reset();
    assert.match(
      await at.running.says('drained; '),
      /drained; 1 open request finished, 0 were aborted; the longest lasted [^\n]+\n/,
    );
    assert.equal((await at.api('/api/status')).status, 200);
    assert.equal((await at.api('/api/drain', 'POST')).status, 202);
    assert.equal((await at.running.ended).code, 0);
  });
}
