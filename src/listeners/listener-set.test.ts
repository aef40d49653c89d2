import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../test/support/temporary.ts';
import { resolveOptions } from '../config/schema.ts';
import { systemClock } from '../core/clock.ts';
import { buildEngine, buildHall } from '../engine.ts';
import { createLimits } from '../limits/limits.ts';
import { HEAD_LIMITS } from '../protocol/head-buffer.ts';
import { ListenerSet } from './listener-set.ts';
import { ListenError } from './listening.ts';

function listenerSet(): ListenerSet {
  const config = resolveOptions({});
  const observe = () => undefined;
  const limiter = createLimits(config.limits, { clock: systemClock, observe, stateDir: undefined });
  const hall = buildHall({
    clock: systemClock,
    observe,
    tap: undefined,
    lookup: undefined,
    limiter,
    listeners: () => [],
    stateDir: undefined,
    environment: {},
    trace: 'lookups',
  });
  const rooms = buildEngine(config, {}, hall);
  return new ListenerSet({
    observe,
    connectionsMax: 10,
    lane: undefined,
    services: {
      rooms: () => rooms,
      nextId: () => 'id',
      draining: () => false,
      clock: systemClock,
      idle: hall.idle,
      bodies: rooms.bodies,
      headLimits: HEAD_LIMITS,
      requestHeadMs: 1000,
      keepAliveMs: 1000,
    },
  });
}

test('who connects while listeners are being opened is served once all are, and not before', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'a.sock');
  const set = listenerSet();
  const { serve } = await set.prepare([{ kind: 'unix', path }]);
  const client = connect(path);
  await once(client, 'connect');
  client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  let text = '';
  client.setEncoding('latin1').on('data', (chunk) => (text += chunk));
  // As long as a served request would take: one to another listener comes and goes.
  const other = connect(path);
  await once(other, 'connect');
  assert.deepEqual([set.busy, text, set.urls], [0, '', []]);
  serve();
  await once(client, 'end');
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
  other.destroy();
  await set.drained();
});

test('when one cannot be opened the others are closed again, with whoever has come', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'a.sock');
  const busy = createServer().listen(0, '127.0.0.1');
  await once(busy, 'listening');
  const address = busy.address();
  assert.ok(typeof address === 'object' && address !== null);
  const set = listenerSet();
  const wanted = [
    { kind: 'unix', path },
    { kind: 'tcp', host: '127.0.0.1', port: address.port, optional: false },
  ] as const;
  await assert.rejects(set.prepare(wanted), (error) => error instanceof ListenError && error.code === 'EADDRINUSE');
  assert.deepEqual([set.urls, set.busy], [[], 0]);
  const [error] = await once(connect(path), 'error');
  assert.equal(error.code, 'ENOENT');
  busy.close();
});
