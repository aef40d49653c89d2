/** A listener whose clients speak several protocols: a connection holds its place before the protocol is known, and hands it over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientProtocol } from '../../src/clients/client-protocol.ts';
import type { Http1Context } from '../../src/clients/http1/context.ts';
import { http1Protocol } from '../../src/clients/http1/protocol.ts';
import { type Detected, detectingProtocol } from '../support/detecting-protocol.ts';
import { lineProtocol } from '../support/line-protocol.ts';
import { ListeningProxy } from '../support/listening-proxy.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';

const GET = 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n';

interface Options {
  readonly limitMs?: number;
  readonly onDetected?: () => void;
}

/** HTTP/1, or the line protocol where the first byte is a T; both perhaps behind `FROM address\n`, as in the PROXY protocol. */
function detecting(context: Http1Context, { limitMs = 10_000, onDetected = () => {} }: Options = {}): ClientProtocol {
  const [http1, line] = [http1Protocol(context), lineProtocol(context)];
  const detect = (received: Buffer): Detected | undefined => {
    const text = received.toString('latin1');
    const [header = '', address] = /^FROM (\S+)\n/.exec(text) ?? [];
    const early = received.subarray(header.length);
    if (early.length === 0 || (address === undefined && text.startsWith('F'))) return undefined;
    const protocol = early.toString('latin1', 0, 1) === 'T' ? line : http1;
    onDetected();
    return { protocol, early, ...(address !== undefined && { address }) };
  };
  return detectingProtocol(context, { detect, fallback: http1, limitMs });
}

test(
  'one listener serves HTTP/1 and another protocol, by the first byte of a client',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(echo);
    await using proxy = await ListeningProxy.start({}, (context) => detecting(context));
    using page = await rawClient(proxy.port);
    page.send(GET);
    assert.match(await page.until('\r\n\r\n'), /^HTTP\/1\.1 200 /);
    for (const cut of [1, 8, 100]) {
      using tunnel = await rawClient(proxy.port);
      await tunnel.sendCut(Buffer.from(`TUNNEL ${origin.authority}\nearly`), cut);
      await tunnel.until('OK\nearly');
      tunnel.end();
      await tunnel.ended();
    }
    await proxy.record(3);
    assert.deepEqual(
      proxy.records.map(({ kind, protocol }) => [kind, protocol]),
      [
        ['local', 'http/1.1'],
        ['tunnel', 'line'],
        ['tunnel', 'line'],
        ['tunnel', 'line'],
      ],
    );
  }),
);

test(
  'a client whose protocol is not known yet holds a place, its protocol has the same place, and both give it back',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(echo);
    await using proxy = await ListeningProxy.start({}, (context) => detecting(context), { connectionsMax: 1 });
    const isRejected = async () => {
      using other = await rawClient(proxy.port);
      return /^HTTP\/1\.1 503 /.test(await other.until('\r\n\r\n'));
    };
    using silent = await rawClient(proxy.port);
    assert.ok(await isRejected());
    assert.equal(proxy.listeners.active, 0);
    silent.send(`TUNNEL ${origin.authority}\n`);
    await silent.until('OK\n');
    assert.ok(await isRejected());
    assert.equal(proxy.listeners.active, 1);
    silent.end();
    await silent.ended();
    using gone = await rawClient(proxy.port);
    gone.end();
    await gone.ended();
    using next = await rawClient(proxy.port);
    next.send(GET);
    assert.match(await next.until('\r\n\r\n'), /^HTTP\/1\.1 200 /);
  }),
);

test(
  'a client that has sent no request yet is closed for another one in the words of what it speaks',
  { skip: process.platform !== 'linux' && 'the whole of 127.0.0.0/8 is this machine on Linux alone' },
  leavesNothing(async () => {
    const detected = Promise.withResolvers<void>();
    await using proxy = await ListeningProxy.start(
      {},
      (context) => detecting(context, { onDetected: detected.resolve }),
      { connectionsMax: 1 },
    );
    using line = await rawClient(proxy.port, '127.0.0.1', '127.0.0.2');
    line.send('TUN');
    await detected.promise;
    using unknown = await rawClient(proxy.port, '127.0.0.1', '127.0.0.3');
    assert.equal(await line.until('\n'), 'NO at_capacity\n');
    using page = await rawClient(proxy.port, '127.0.0.1', '127.0.0.4');
    page.send(GET);
    assert.match(await unknown.until('\r\n\r\n'), /^HTTP\/1\.1 503 /);
    assert.match(await page.until('\r\n\r\n'), /^HTTP\/1\.1 200 /);
  }),
);

test(
  'a client that does not show its protocol in time is closed, also when it has sent a part of it',
  leavesNothing(async () => {
    await using proxy = await ListeningProxy.start({}, (context) => detecting(context, { limitMs: 50 }), {
      connectionsMax: 1,
    });
    for (const first of ['', 'F', 'FROM']) {
      using client = await rawClient(proxy.port);
      client.send(first);
      assert.equal(await client.ended(), 'fin', first);
    }
    assert.deepEqual(proxy.records, []);
  }),
);

test(
  'the filter and the place are those of the address that a header names, for every protocol behind it',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(echo);
    await using proxy = await ListeningProxy.start(
      { clients: { allow: ['127.0.0.0/8', '192.0.2.0/24'] } },
      (context) => detecting(context),
      // One place for each address.
      { connectionsMax: 2 },
    );
    using denied = await rawClient(proxy.port);
    denied.send(`FROM 198.51.100.1\n${GET}`);
    assert.match(await denied.until('\r\n\r\n'), /^HTTP\/1\.1 403 /);
    const { failure, client } = await proxy.record();
    assert.deepEqual([failure, client.address], ['denied', '198.51.100.1']);
    await denied.ended();

    using tunnel = await rawClient(proxy.port);
    tunnel.send(`FROM 192.0.2.7\nTUNNEL ${origin.authority}\n`);
    await tunnel.until('OK\n');
    // Its place is no longer one of 127.0.0.1, which would have none left.
    using second = await rawClient(proxy.port);
    second.send(`FROM 192.0.2.7\n${GET}`);
    assert.match(await second.until('\r\n\r\n'), /^HTTP\/1\.1 503 /);
    await second.ended();
    using third = await rawClient(proxy.port);
    third.send(GET);
    assert.match(await third.until('\r\n\r\n'), /^HTTP\/1\.1 200 /);
    tunnel.end();
    await tunnel.ended();
    await proxy.record(2);
    const addresses = proxy.records.map((record) => record.client.address);
    assert.deepEqual(addresses.sort(), ['127.0.0.1', '192.0.2.7', '198.51.100.1']);
  }),
);
