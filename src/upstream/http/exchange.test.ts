import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialScope } from '../../../test/support/dial-scope.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { leavesNothing } from '../../../test/support/no-leaks.ts';
import { wirePair } from '../../../test/support/wire-pair.ts';
import { ProxyError } from '../../contracts/failure.ts';
import { HEAD_LIMITS } from '../../protocol/http1/head-buffer.ts';
import { NO_SLOT } from '../../util/slot-list.ts';
import type { CountedConnection } from '../dial/dialled-connections.ts';
import { DirectDialer } from '../dial/direct.ts';
import { cachingResolver } from '../dial/resolver.ts';
import { RouteDialer } from '../dial/route-dialer.ts';
import { DirectFallback } from '../direct-fallback.ts';
import { Failover } from '../failover.ts';
import { ProxyHealth } from '../health/proxy-health.ts';
import { RouteExchange } from './exchange.ts';
import { IdlePool } from './idle-pool.ts';

for (const method of ['GET', 'DELETE', 'POST']) {
  test(
    `a ${method} whose client leaves in the turn that opens the connection closes it`,
    leavesNothing(async () => {
      const clock = new ManualClock();
      await using pair = await wirePair();
      const abort = new AbortController();
      const reason = new ProxyError('client_gone', 'test');
      const open = (): Promise<CountedConnection> => {
        // Both are settled before the request that waits for the connection goes on.
        queueMicrotask(() => abort.abort(reason));
        return Promise.resolve(Object.assign(pair.connection, { slot: NO_SLOT, requestId: '', countedIn: undefined }));
      };
      const direct = new DirectDialer({ resolver: cachingResolver(clock), clock, connectMs: 5_000, open });
      const health = new ProxyHealth({ clock, observe: () => undefined, probe: () => assert.fail('asked') });
      const failover = new Failover(health, clock);
      const exchange = new RouteExchange({
        dialer: new RouteDialer(direct, []),
        failover,
        fallback: new DirectFallback(failover, clock),
        auth: { contextFor: () => assert.fail('asked') },
        pool: new IdlePool(clock),
        limits: HEAD_LIMITS,
        headMs: 5_000,
      });
      const outgoing = {
        owner: 'user',
        method,
        target: { host: '127.0.0.1', port: 80 },
        path: '/',
        headers: [],
        body: undefined,
        originOwner: undefined,
        upgrade: undefined,
        sendInterim: () => undefined,
      };
      const sending = exchange.send(outgoing, [{ via: 'direct' }], dialScope({ signal: abort.signal }));
      await assert.rejects(sending, (error) => error === reason);
      assert.equal(pair.wire.stream.destroyed, true);
    }),
  );
}
