/** A limit can end a request that it has let in, also a tunnel that moves no bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { http1Protocol } from '../../src/clients/http1/protocol.ts';
import { ProxyError } from '../../src/contracts/failure.ts';
import type { Limiter } from '../../src/contracts/limits.ts';
import type { Permit } from '../../src/contracts/stages.ts';
import { ListeningProxy } from '../support/listening-proxy.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';

const LIFETIME_MS = 60_000;

/** So long may a request take, whether bytes pass or not. */
const lifetime = (clock: ManualClock): Limiter => ({
  acquire(_from, request): Permit {
    const why = new ProxyError('quota_exceeded', 'the request has lasted for 60 s');
    const timer = clock.after(LIFETIME_MS, () => request?.stop(why));
    return { limits: ['lifetime'], [Symbol.dispose]: () => timer[Symbol.dispose]() };
  },
  namesFor: () => ['lifetime'],
});

for (const relay of ['auto', 'portable'] as const)
  test(
    `relay ${relay}: a limit ends an idle tunnel, and a request that has no response yet is refused`,
    leavesNothing(async () => {
      const clock = new ManualClock();
      await using origin = await RawOrigin.listen(echo);
      await using silent = await RawOrigin.listen(() => undefined);
      await using proxy = await ListeningProxy.start({ relay }, http1Protocol, { limiter: lifetime(clock) });
      using tunnel = await rawClient(proxy.port);
      tunnel.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\nbytes`);
      await tunnel.until('bytes');
      using plain = await rawClient(proxy.port);
      plain.send(`GET http://${silent.authority}/ HTTP/1.1\r\nHost: ${silent.authority}\r\n\r\n`);
      await proxy.when(() => clock.pending === 2);
      clock.advance(LIFETIME_MS - 1);
      assert.equal(tunnel.ending, 'open');
      clock.advance(1);
      await Promise.all([tunnel.ended(), plain.until('HTTP/1.1 429 '), proxy.when(() => proxy.records.length === 2)]);
      for (const { failure, detail, limits } of proxy.records)
        assert.deepEqual(
          [failure, detail, limits],
          ['quota_exceeded', 'the request has lasted for 60 s', ['lifetime']],
        );
      assert.equal(proxy.records.find(({ kind }) => kind === 'tunnel')?.end, 'aborted');
      assert.equal(clock.pending, 0);
    }),
  );
