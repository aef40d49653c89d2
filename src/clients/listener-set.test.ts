import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../test/support/temporary.ts';
import { trusting } from '../../test/support/trusting.ts';
import { createGeneration } from '../app/generation.ts';
import { createSharedServices } from '../app/shared-services.ts';
import { resolveOptions } from '../config/schema.ts';
import { createLimits } from '../limits/limits.ts';
import { HEAD_LIMITS } from '../protocol/http1/head-buffer.ts';
import { Sessions } from '../sessions/sessions.ts';
import { systemClock } from '../util/clock.ts';
import { EndedClients } from './ended-clients.ts';
import type { Http1Context } from './http1/context.ts';
import { ListenerSet } from './listener-set.ts';
import { ListenError } from './listening.ts';
import { clientProtocols } from './protocols.ts';

async function listenerSet(): Promise<ListenerSet> {
  const config = resolveOptions({});
  const observe = () => undefined;
  const limiter = createLimits(config.limits, { clock: systemClock, observe, stateDir: undefined });
  const shared = createSharedServices({
    clock: systemClock,
    observe,
    tap: undefined,
    lookup: undefined,
    secure: trusting(),
    limiter,
    listeners: () => [],
    stateDir: undefined,
    environment: {},
    trace: 'lookups',
  });
  const { services } = await createGeneration(config, {}, shared);
  const context: Http1Context = {
    services: () => services,
    nextId: () => 'id',
    draining: () => false,
    clock: systemClock,
    idle: shared.idle,
    sessions: new Sessions(),
    bodies: services.bodies,
    ended: new EndedClients(),
    headLimits: HEAD_LIMITS,
    requestHeadMs: 1000,
    watchesFiles: () => false,
    keepAliveMs: 1000,
  };
  return new ListenerSet({
    observe,
    connectionsMax: 10,
    epollSockets: undefined,
    context,
    protocolOf: clientProtocols(context),
  });
}

test('a client that connects while listeners are being opened is served once all are open, and not before', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'a.sock');
  const set = await listenerSet();
  const { serve } = await set.prepare([{ kind: 'unix', protocol: 'http', path }]);
  const client = connect(path);
  await once(client, 'connect');
  client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  let text = '';
  client.setEncoding('latin1').on('data', (chunk) => (text += chunk));
  // As long as a served request would take: one to another listener comes and goes.
  const other = connect(path);
  await once(other, 'connect');
  assert.deepEqual([set.active, text, set.urls], [0, '', []]);
  serve();
  await once(client, 'end');
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
  other.destroy();
  await set.drained();
});

test('when one listener cannot be opened the others are closed again, with the clients that have connected', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'a.sock');
  const busy = createServer().listen(0, '127.0.0.1');
  await once(busy, 'listening');
  const address = busy.address();
  assert.ok(typeof address === 'object' && address !== null);
  const set = await listenerSet();
  const wanted = [
    { kind: 'unix', protocol: 'http', path },
    { kind: 'tcp', protocol: 'http', host: '127.0.0.1', port: address.port, optional: false },
  ] as const;
  await assert.rejects(set.prepare(wanted), (error) => error instanceof ListenError && error.code === 'EADDRINUSE');
  assert.deepEqual([set.urls, set.active], [[], 0]);
  const [error] = await once(connect(path), 'error');
  assert.equal(error.code, 'ENOENT');
  busy.close();
});

test('a reload finds both halves of localhost again where their port was a free one', async () => {
  const set = await listenerSet();
  const wanted = ['127.0.0.1', '::1'].map((host) => {
    return { kind: 'tcp', protocol: 'http', host, port: 0, optional: true } as const;
  });
  (await set.prepare(wanted)).serve();
  const urls = [...set.urls];
  const ports = new Set(urls.map((url) => URL.parse(url)?.port));
  assert.equal(ports.size, 1);
  (await set.prepare(wanted)).serve();
  assert.deepEqual(set.urls, urls);
  await set.drained();
});

test('listeners on free ports of one address have a port each, and a reload finds each of them again', async () => {
  const set = await listenerSet();
  const free = (protocol: 'http' | 'socks5') =>
    ({ kind: 'tcp', protocol, host: '127.0.0.1', port: 0, optional: false }) as const;
  const halves = ['127.0.0.1', '::1'].map((host) => ({ ...free('http'), host, optional: true }));
  const ports = () => set.urls.map((url) => Number(/:(\d+)$/.exec(url)?.[1]));
  (await set.prepare([free('http'), free('http')])).serve();
  const [first, second] = ports();
  assert.notEqual(first, second);
  (await set.prepare([free('http'), free('socks5'), free('http')])).serve();
  const third = ports()[2];
  assert.deepEqual(set.urls, [
    `http://127.0.0.1:${first}`,
    `socks5://127.0.0.1:${second}`,
    `http://127.0.0.1:${third}`,
  ]);
  assert.equal(new Set(ports()).size, 3);
  (await set.prepare([free('http')])).serve();
  assert.deepEqual(set.urls, [`http://127.0.0.1:${first}`]);
  (await set.prepare([...halves, ...halves.map((half) => ({ ...half }))])).serve();
  const [v4, v6, otherV4, otherV6] = ports();
  assert.deepEqual([v6, otherV6], [v4, otherV4]);
  assert.notEqual(v4, otherV4);
  await set.drained();
});
