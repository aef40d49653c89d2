import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ProxyOptions, startProxy } from '../../src/index.ts';
import { isInside, MACHINE_IP, noNamespace, runInside } from '../support/namespace.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { portOf } from '../support/traffic.ts';

/** The promise that is tested: by then a new address of the machine is known as its own. */
const OWN_MS_MAX = 1_100;
/** Further addresses that the machine has, inside the namespace. */
const SECOND_IP = '10.77.0.1';
const SECOND_IP6 = 'fd77::1';

async function statusOf(proxy: { readonly url: string }, request: string): Promise<number> {
  using client = await rawClient(portOf(proxy.url));
  client.send(request);
  await client.until(/\r\n\r\n/);
  return Number(client.text.split(' ')[1]);
}
const get = (authority: string): string => `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;

const exposed: ProxyOptions = { listen: '0.0.0.0:0', open: true, timeouts: { connect: '1s' } };
const address = (...words: string[]): void => void execFileSync('ip', ['addr', ...words, 'dev', 'lo']);

function tests(): void {
  test('clients on other machines do not reach the inner network, in no spelling of its addresses', async () => {
    await using inner = await RawOrigin.listen(
      answering(() => ok('secret')),
      { host: '0.0.0.0', port: 443 },
    );
    await using inner6 = await RawOrigin.listen(
      answering(() => ok('secret')),
      { host: '::1', port: 443 },
    );
    await using proxy = await startProxy(exposed);
    for (const host of [
      ...['127.0.0.1', '127.9.9.9', '127.0.0.1.', '0.0.0.0', '0.0.0.1', 'localhost'],
      ...[MACHINE_IP, '10.1.2.3', '172.16.0.1', '192.168.1.1', '169.254.169.254', '169.254.0.9', '100.64.0.1'],
      ...['192.0.0.8', '192.0.2.1', '198.18.0.1', '203.0.113.9', '224.0.0.1', '240.0.0.1', '255.255.255.255'],
      ...['[::1]', '[::]', '[fe80::1]', '[fd00::1]', '[ff02::1]', '[2001:db8::1]', '[fd00:ec2::254]'],
      // IPv4 inside: mapped, translated (NAT64), 6to4, Teredo with the complement.
      ...['[::ffff:127.0.0.1]', '[::ffff:a09:807]', '[64:ff9b::127.0.0.1]', '[64:ff9b::a9fe:a9fe]'],
      ...['[2002:7f00:1::]', '[2002:a09:807::1]', '[2001:0:7f00:1::80ff:fffe]', '[64:ff9b:1::7f00:1]'],
    ]) {
      // A name that the parser knows no address in is refused before anything is resolved.
      const wanted = host === '127.0.0.1.' ? [400, 403] : [403];
      for (const request of [connectTo(`${host}:443`), get(`${host}:443`)]) {
        const status = await statusOf(proxy, request);
        assert.ok(wanted.includes(status), `${request.slice(0, 60)}: ${status}`);
      }
    }
    assert.equal(inner.connections.length + inner6.connections.length, 0, 'no address was dialled');
  });

  test('an exception is for an address, or a port of it, and holds for tunnels and requests', async () => {
    await using origin = await RawOrigin.listen(
      answering(() => ok('fine')),
      { host: MACHINE_IP },
    );
    await using other = await RawOrigin.listen(
      answering(() => ok('fine')),
      { host: MACHINE_IP },
    );
    await using proxy = await startProxy({
      ...exposed,
      guard: { allow: [`${MACHINE_IP}:${origin.port}`] },
      access: [{ name: 'ports', allow: { ports: [origin.port, other.port] } }],
    });
    assert.equal(await statusOf(proxy, get(origin.authority)), 200);
    assert.equal(await statusOf(proxy, connectTo(origin.authority)), 200);
    assert.equal(await statusOf(proxy, get(`[::ffff:${MACHINE_IP}]:${origin.port}`)), 200, 'the very same address');
    assert.equal(await statusOf(proxy, get(other.authority)), 403);
    assert.equal(await statusOf(proxy, get(`[64:ff9b::${MACHINE_IP}]:${origin.port}`)), 403, 'a translator is another');
  });

  test('on an exposed listener CONNECT goes to port 443 unless a rule says otherwise', async () => {
    await using origin = await RawOrigin.listen(undefined, { host: MACHINE_IP });
    await using tls = await RawOrigin.listen(undefined, { host: MACHINE_IP, port: 443 });
    const guard = { allow: [MACHINE_IP] };
    await using proxy = await startProxy({ ...exposed, guard, access: [{ default: 'allow' }] });
    assert.equal(await statusOf(proxy, connectTo(tls.authority)), 200);
    assert.equal(await statusOf(proxy, connectTo(origin.authority)), 403);
    assert.equal(await statusOf(proxy, connectTo(`${MACHINE_IP}:25`)), 403);
    await using wider = await startProxy({ ...exposed, guard, access: [{ allow: { ports: [origin.port] } }] });
    assert.equal(await statusOf(wider, connectTo(origin.authority)), 200);
    await using local = await startProxy();
    assert.equal(await statusOf(local, connectTo(origin.authority)), 200);
  });

  test('it never dials its own listeners, under any address of this machine', async () => {
    address('add', `${SECOND_IP}/32`);
    address('add', `${SECOND_IP6}/128`);
    await using proxy = await startProxy({
      listen: '[::]:0',
      open: true,
      guard: { deny: [] },
      access: [{ allow: { ports: ['1-65535'] } }],
      timeouts: { connect: '1s' },
    });
    const port = portOf(proxy.url);
    const own = (host: string) =>
      Promise.all([connectTo(`${host}:${port}`), get(`${host}:${port}`)].map((request) => statusOf(proxy, request)));
    for (const host of [
      ...['127.0.0.1', '127.5.5.5', 'localhost', '0.0.0.0', MACHINE_IP, SECOND_IP],
      ...['[::1]', '[::]', `[${SECOND_IP6}]`, `[::ffff:${MACHINE_IP}]`, '[::ffff:127.0.0.1]'],
    ]) {
      assert.deepEqual(await own(host), [508, 508], host);
    }
    // An address that the machine gets later is its own too, a second after at the latest.
    address('add', '10.88.0.1/32');
    await sleep(OWN_MS_MAX);
    assert.deepEqual(await own('10.88.0.1'), [508, 508]);
    await using origin = await RawOrigin.listen(
      answering(() => ok('fine')),
      { host: SECOND_IP },
    );
    assert.equal(
      await statusOf(proxy, get(origin.authority)),
      200,
      'another port of the same address is another thing',
    );
  });

  test('a listener at one address leaves the same port of another one alone', async () => {
    await using proxy = await startProxy({ listen: '127.0.0.1:0' });
    await using origin = await RawOrigin.listen(
      answering(() => ok('fine')),
      {
        host: MACHINE_IP,
        port: portOf(proxy.url),
      },
    );
    assert.equal(await statusOf(proxy, get(origin.authority)), 200);
    assert.equal(await statusOf(proxy, get(`127.0.0.1:${origin.port}`)), 508);
  });

  test('a name with a good and a bad address is dialled at the good one only', async () => {
    await using good = await RawOrigin.listen(
      answering(() => ok('fine')),
      { host: MACHINE_IP },
    );
    await using bad = await RawOrigin.listen(
      answering(() => ok('secret')),
      { host: '127.0.0.1', port: good.port },
    );
    const answers: Readonly<Record<string, readonly string[]>> = {
      'both.example': ['127.0.0.1', '::1', '169.254.169.254', MACHINE_IP],
      'bad.example': ['127.0.0.1', '::ffff:10.1.1.1'],
    };
    await using proxy = await startProxy({
      ...exposed,
      guard: { allow: [MACHINE_IP] },
      lookup: async (host) => answers[host] ?? [],
    });
    assert.equal(await statusOf(proxy, get(`both.example:${good.port}`)), 200);
    assert.equal(await statusOf(proxy, get(`bad.example:${good.port}`)), 403);
    await good[Symbol.asyncDispose]();
    assert.equal(
      await statusOf(proxy, get(`both.example:${bad.port}`)),
      502,
      'the good one is gone: no other is dialled',
    );
    assert.equal(bad.connections.length, 0);
  });
}

if (isInside()) tests();
else {
  test('the address guard, where nothing can be reached', { skip: noNamespace(), timeout: 60_000 }, () =>
    runInside(import.meta.url),
  );
}
