import assert from 'node:assert/strict';
import { test } from 'node:test';
import { http2Protocol } from '../../src/clients/http2/protocol.ts';
import { IdleWatch } from '../../src/net/idle-watch.ts';
import { ACK, FRAME, frame, RawHttp2 } from '../support/http2-frames.ts';
import { ListeningProxy } from '../support/listening-proxy.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { RawOrigin } from '../support/origin.ts';
import { until } from '../support/until.ts';

for (const answers of [true, false]) {
  test(`a client with an idle tunnel is asked by PING, and its tunnel ${answers ? 'lives' : 'ends'} when it ${answers ? 'answers' : 'does not answer'}`, async () => {
    await using origin = await RawOrigin.listen();
    const clock = new ManualClock();
    const idle = new IdleWatch(clock);
    await using proxy = await ListeningProxy.start({}, (context) => http2Protocol({ ...context, idle, clock }));
    using client = await RawHttp2.open(proxy.port);
    await client.tunnel(1, origin.authority);
    const peer = await origin.connection();
    for (let step = 0; step < 8; step++) {
      clock.advance(5_000);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    const pings = () => client.frames.filter(({ type, flags }) => type === FRAME.ping && flags === 0);
    await client.when(() => pings().length > 0, 'PING');
    if (answers) {
      client.send(frame(FRAME.ping, ACK, 0, pings()[0]?.payload));
      client.send(frame(FRAME.data, 0, 1, Buffer.from('here')));
      await peer.until('here');
    }
    for (let step = 0; step < 14; step++) {
      clock.advance(5_000);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    if (answers) assert.equal(peer.ending, 'open');
    else assert.equal(await peer.ended(), 'reset');
    await until(() => answers || client.isClosed, 'the connection has closed');
  });
}
