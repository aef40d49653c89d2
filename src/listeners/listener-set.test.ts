import assert from 'node:assert/strict';
import { existsSync, renameSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { leavesNothing } from '../../test/support/no-leaks.ts';
import { echo, RawOrigin } from '../../test/support/origin.ts';
import { ProxyUnderTest } from '../../test/support/proxy-under-test.ts';
import { RawPeer, rawClient } from '../../test/support/raw-client.ts';
import { temporaryFolder } from '../../test/support/temporary.ts';
import { resolveOptions } from '../config/schema.ts';
import { ListenError } from './accept.ts';

const WELCOME = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

test(
  'localhost is both loopback addresses, at one port also where any will do',
  leavesNothing(async () => {
    await using proxy = await ProxyUnderTest.start({ listen: 'localhost:0' });
    const { urls } = proxy.proxy;
    assert.deepEqual(urls, [`http://127.0.0.1:${proxy.port}`, `http://[::1]:${proxy.port}`]);
    for (const host of ['127.0.0.1', '::1']) {
      using client = await rawClient(proxy.port, host);
      await client.send(WELCOME).until('it is working');
    }
  }),
);

test(
  'a port that is taken is a ListenError that names it',
  leavesNothing(async () => {
    await using taken = await RawOrigin.listen();
    await assert.rejects(ProxyUnderTest.start({ listen: taken.authority }), (error) => {
      assert.ok(error instanceof ListenError);
      assert.equal(error.message, `cannot listen on http://${taken.authority}: EADDRINUSE`);
      return true;
    });
  }),
);

test(
  'listeners that change: what stays stays open, what goes lets its tunnels end, what fails changes nothing',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(echo);
    await using taken = await RawOrigin.listen();
    await using proxy = await ProxyUnderTest.start({ listen: ['127.0.0.1:0'] });
    const before = proxy.port;
    using tunnel = await proxy.tunnel(origin.authority);
    const listenOn = (...listen: string[]) => proxy.proxy.reload(resolveOptions({ listen }));

    await assert.rejects(listenOn('127.0.0.2:0', taken.authority), ListenError);
    assert.deepEqual(proxy.proxy.urls, [`http://127.0.0.1:${before}`]);

    await listenOn('127.0.0.1:0', '127.0.0.2:0');
    const [first, second = ''] = proxy.proxy.urls;
    assert.equal(first, `http://127.0.0.1:${before}`);
    await listenOn('127.0.0.2:0');
    assert.deepEqual(proxy.proxy.urls, [second]);
    await assert.rejects(rawClient(before), { code: 'ECONNREFUSED' });
    await tunnel.send('still open').until('still open');
    assert.equal(proxy.proxy.open, 1);
  }),
);

const noSockets = process.platform === 'win32' && 'Unix sockets have no files here';

test(
  'a Unix socket serves, replaces one that was left behind, and leaves one that is in use alone',
  { skip: noSockets },
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'proxy.sock');
    const left = createServer().listen(path);
    await new Promise((resolve) => left.once('listening', resolve));
    const probe = async () => {
      const socket = connect({ path, allowHalfOpen: true });
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
      return new RawPeer(socket);
    };
    await assert.rejects(ProxyUnderTest.start({ listen: `unix:${path}` }), ListenError);
    // A process that is killed leaves its file; one that was put aside while its server closed is such a file too.
    renameSync(path, `${path}.aside`);
    left.close();
    await new Promise((resolve) => left.once('close', resolve));
    renameSync(`${path}.aside`, path);
    {
      await using _proxy = await ProxyUnderTest.start({ listen: ['127.0.0.1:0', `unix:${path}`] });
      using client = await probe();
      await client.send(WELCOME).until('it is working');
    }
    assert.equal(existsSync(path), false);
  }),
);
