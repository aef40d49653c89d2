import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialScope } from '../../test/support/dial-scope.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { leavesNothing } from '../../test/support/no-leaks.ts';
import { wirePair } from '../../test/support/wire-pair.ts';
import { ProxyError } from '../core/failure.ts';
import type { Connection } from '../core/stages.ts';
import { HEAD_LIMITS } from '../protocol/head-buffer.ts';
import { DirectDialer } from './direct.ts';
import { RouteExchange } from './exchange.ts';
import { Failover } from './failover.ts';
import { ProxyHealth } from './health.ts';
import { Paths } from './paths.ts';
import { IdlePool } from './pool.ts';
import { cachingResolver } from './resolver.ts';

for (const method of ['GET', 'DELETE', 'POST']) {
  test(
    `a ${method} whose client leaves in the turn that opens the connection closes it`,
    leavesNothing(async () => {
      const clock = new ManualClock();
      await using pair = await wirePair();
      const abort = new AbortController();
      const reason = new ProxyError('client_gone', 'test');
      const open = (): Promise<Connection> => {
        // Both are settled before whoever waits for the connection goes on.
        queueMicrotask(() => abort.abort(reason));
        return Promise.resolve(pair.connection);
      };
      const direct = new DirectDialer({ resolver: cachingResolver(clock), clock, connectMs: 5_000, open });
      const health = new ProxyHealth({ clock, observe: () => undefined, probe: () => assert.fail('asked') });
      const exchange = new RouteExchange({
        paths: new Paths(direct, []),
        failover: new Failover(health, clock),
        auth: { visit: () => assert.fail('asked') },
        pool: new IdlePool(clock),
        limits: HEAD_LIMITS,
        headMs: 5_000,
      });
      const outgoing = {
        method,
        target: { host: '127.0.0.1', port: 80 },
        path: '/',
        headers: [],
        body: undefined,
        upgrade: undefined,
        inform: () => undefined,
      };
      const sending = exchange.send(outgoing, [{ via: 'direct' }], dialScope({ signal: abort.signal }));
      await assert.rejects(sending, (error) => error === reason);
      assert.equal(pair.wire.stream.destroyed, true);
    }),
  );
}
