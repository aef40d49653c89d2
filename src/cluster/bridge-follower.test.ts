import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { Listen } from '../clients/options.ts';
import { BridgeFollower } from './bridge-follower.ts';
import type { FollowedAddresses } from './ports.ts';

const WANTED: readonly Listen[] = [{ kind: 'bridge', protocol: 'http', bridge: 'docker', port: 3128 }];
const LOOK_MS = 2_000;

function follower(follow: () => Promise<FollowedAddresses>) {
  const clock = new ManualClock();
  const notices: string[] = [];
  let turn = Promise.resolve();
  const bridges = new BridgeFollower({
    clock,
    ports: { follow },
    notice: (level, message) => notices.push(`${level} ${message}`),
    serialize: (task) => turn.then(task),
    rebind: async () => undefined,
  });
  bridges.follow(WANTED);
  notices.length = 0;
  return {
    notices,
    async look(times: number) {
      for (let at = 0; at < times; at++) clock.advance(LOOK_MS);
      await setImmediate();
    },
    /** Nothing that is serialized runs until the result is called. */
    hold(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      turn = promise;
      return resolve;
    },
  };
}

test('while a reload runs one look waits for it', async () => {
  let looks = 0;
  const { look, hold } = follower(async () => {
    looks += 1;
    return { failures: [] };
  });
  const end = hold();
  await look(30);
  assert.equal(looks, 0);
  end();
  await setImmediate();
  assert.equal(looks, 1);
  await look(1);
  assert.equal(looks, 2);
});

test('why a bridge is not listened on is said once for each, and again when it comes back', async () => {
  const one = new Error('one is taken');
  const other = new Error('other is taken');
  const results = [[one, other], [one, other], [one], [one, other]];
  const { notices, look } = follower(async () => ({ failures: results.shift() ?? [] }));
  for (let at = 0; at < 4; at++) await look(1);
  assert.deepEqual(
    notices.filter((notice) => notice.startsWith('warn')),
    [one, other, other].map(({ message }) => `warn ${message}; it is tried again every 2 s`),
  );
});

test('a look that fails as a whole, as without a descriptor, is followed by the next', async () => {
  const results = [Promise.reject(new Error('no descriptor')), Promise.resolve({ failures: [] })];
  results[0]?.catch(() => undefined);
  let looks = 0;
  const { notices, look } = follower(async () => {
    looks += 1;
    return (await results.shift()) ?? { failures: [] };
  });
  await look(1);
  await look(1);
  assert.equal(looks, 2);
  assert.deepEqual(notices, ['warn no descriptor; it is tried again every 2 s']);
});

test('nothing left to listen on is said in words', async () => {
  const { notices, look } = follower(async () => ({ found: { listen: [], keep: () => undefined }, failures: [] }));
  await look(1);
  assert.match(notices.join(), /^info listening on nothing: there is no bridge any more/);
});
