/** How a name becomes a connection: families in turns, attempts that keep running, answers that are remembered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blackHole } from '../support/black-hole.ts';
import { dnsServer } from '../support/dns-server.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';

const finds =
  (...addresses: string[]) =>
  () =>
    Promise.resolve(addresses);

/** Connection Attempt Delay (RFC 8305 §5), and a margin for a busy machine. */
const ATTEMPT_MS = 250;
const SLACK_MS = 400;

test(
  'an address that refuses costs no wait: the next one is tried at once',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(echo);
    await using proxy = await ProxyUnderTest.start({}, { lookup: finds('::1', '127.0.0.1') });
    using client = await proxy.tunnel(`both.test:${origin.port}`);
    client.send('hello');
    await client.until('hello');
    const attempts = proxy.events.filter(({ type }) => /^(dialing|attempt-failed|connected)$/.test(type));
    assert.deepEqual(
      attempts.map((event) => ('address' in event ? `${event.type} ${event.address}` : event.type)),
      ['dialing ::1', 'attempt-failed ::1', 'dialing 127.0.0.1', 'connected 127.0.0.1'],
    );
  }),
);

test(
  'an address that does not answer costs 250 ms, and its attempt is given up once another one is connected',
  leavesNothing(async () => {
    await using hole = await blackHole('::1');
    await using origin = await RawOrigin.listen(echo, { port: hole.port });
    await using proxy = await ProxyUnderTest.start({}, { lookup: finds('::1', '127.0.0.1') });
    const startedMs = performance.now();
    using client = await proxy.tunnel(`both.test:${hole.port}`);
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs >= ATTEMPT_MS - 10 && tookMs < ATTEMPT_MS + SLACK_MS, `${tookMs} ms`);
    client.send('hello');
    await client.until('hello');
    assert.equal(origin.connections.length, 1);
    const { address } = await endOf(client, proxy);
    assert.equal(address, '127.0.0.1');
  }),
);

test(
  'an attempt keeps running while others fail: a slow network is better than none',
  leavesNothing(async () => {
    await using slow = await blackHole('127.0.0.1');
    await using proxy = await ProxyUnderTest.start({}, { lookup: finds('127.0.0.1', '::1') });
    setTimeout(() => slow.wake(), 2 * ATTEMPT_MS);
    using client = await proxy.tunnel(`both.test:${slow.port}`);
    await client.until('late');
    client.end();
    assert.equal((await proxy.record()).address, '127.0.0.1');
  }),
);

test(
  'families take turns, in the order in which the resolver has them',
  leavesNothing(async () => {
    const addresses = ['127.0.0.1', '127.0.0.2', '127.0.0.3', '::1'];
    await using proxy = await ProxyUnderTest.start({}, { lookup: finds(...addresses) });
    using client = await proxy.client();
    client.send('CONNECT many.test:1 HTTP/1.1\r\nHost: x\r\n\r\n');
    await client.until('connection_refused');
    const dialled = proxy.events.flatMap((event) => (event.type === 'dialing' ? [event.address] : []));
    assert.deepEqual(dialled, ['127.0.0.1', '::1', '127.0.0.2', '127.0.0.3']);
  }),
);

test(
  'the limit is for all addresses together',
  leavesNothing(async () => {
    await using hole = await blackHole();
    const addresses = finds('127.0.0.1', '::ffff:127.0.0.1');
    await using proxy = await ProxyUnderTest.start({ timeouts: { connect: '400ms' } }, { lookup: addresses });
    using client = await proxy.client();
    const startedMs = performance.now();
    client.send(`CONNECT both.test:${hole.port} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await client.until('connection_timeout');
    assert.ok(performance.now() - startedMs < 400 + SLACK_MS);
  }),
);

test(
  'only what the guard allows is dialled, and nothing when it allows none',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(echo, { host: '127.0.0.2' });
    const guard = { deny: ['127.0.0.1', '::1'] };
    await using proxy = await ProxyUnderTest.start({ guard }, { lookup: finds('::1', '127.0.0.1', '127.0.0.2') });
    using client = await proxy.tunnel(`mixed.test:${origin.port}`);
    const dialled = proxy.events.flatMap((event) => (event.type === 'dialing' ? [event.address] : []));
    assert.deepEqual(dialled, ['127.0.0.2']);
    client.end();
    await using strict = await ProxyUnderTest.start({ guard }, { lookup: finds('::1', '127.0.0.1') });
    using refused = await strict.client();
    refused.send(`CONNECT bad.test:${origin.port} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.match(await refused.until('destination_ip_prohibited'), /^HTTP\/1\.1 403 /);
  }),
);

test(
  'a name is looked up once, for any number of requests',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(echo);
    await using dns = await dnsServer({ address: '127.0.0.1' });
    await using proxy = await ProxyUnderTest.start({}, { lookup: dns.lookup });
    const authority = `name.test:${origin.port}`;
    const tunnels = await Promise.all(Array.from({ length: 10 }, () => proxy.tunnel(authority)));
    tunnels.push(await proxy.tunnel(authority));
    for (const tunnel of tunnels) tunnel[Symbol.dispose]();
    assert.equal(dns.questions, 1);
  }),
);

test(
  'a failed name is remembered for a moment, and looked up again afterwards',
  leavesNothing(async () => {
    await using dns = await dnsServer({ code: 3 });
    const clock = new ManualClock();
    await using proxy = await ProxyUnderTest.start({}, { lookup: dns.lookup, clock });
    const fail = async () => {
      using client = await proxy.client();
      client.send('CONNECT nowhere.test:443 HTTP/1.1\r\nHost: x\r\n\r\n');
      await client.until('dns_error');
    };
    await fail();
    await fail();
    assert.equal(dns.questions, 1);
    clock.advance(2_100);
    await fail();
    assert.equal(dns.questions, 2);
  }),
);

async function endOf(client: { end(): unknown }, proxy: ProxyUnderTest) {
  client.end();
  return await proxy.record();
}
