import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineProtocol } from '../../test/support/line-protocol.ts';
import { ListeningProxy } from '../../test/support/listening-proxy.ts';
import type { LocalResponder } from '../contracts/client.ts';
import type { LocalRequest } from '../contracts/request.ts';
import { Stop } from '../util/stop.ts';
import { handleLocal } from './handle.ts';
import type { Services } from './services.ts';

const request = (path: string): LocalRequest => ({
  id: 'r1',
  kind: 'local',
  method: 'GET',
  requestTarget: path,
  path,
  protocol: 'http/1.1',
  headers: [],
  credentials: undefined,
  client: { address: '127.0.0.1', port: 1, listener: 'http://127.0.0.1:3128' },
  signal: new Stop(),
  startedMs: 0,
});

const client: LocalResponder = {
  headersSent: false,
  refuse: () => undefined,
  stop: () => undefined,
  abortResponse: () => undefined,
  sendLocal: () => undefined,
};

for (const [what, path, events] of [
  ['is served', '/', ['close']],
  ['is refused', '/no-such-page', ['error', 'close']],
] as const) {
  test(`a request that ${what} holds its configuration until its record has been reported`, async () => {
    await using proxy = await ListeningProxy.start({}, lineProtocol);
    const order: string[] = [];
    const services: Services = {
      ...proxy.context.services(),
      lifetime: { acquire: () => order.push('acquire'), release: () => order.push('release') },
      observe: ({ type }) => order.push(type),
    };
    await handleLocal(request(path), client, services, proxy.sessions);
    assert.deepEqual(order, ['acquire', ...events, 'release']);
  });
}
