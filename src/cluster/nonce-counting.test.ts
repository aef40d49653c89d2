import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { NonceClient } from './nonce-counting.ts';

const USE = { nonce: 'n', issuedMs: 0, user: 'alice', count: 1 };

test('a nonce that the primary does not judge is stale, and a late answer changes nothing', async () => {
  const clock = new ManualClock();
  const sent: number[] = [];
  const client = new NonceClient(clock, ({ n }) => sent.push(n));
  const use = client.use(USE);
  await clock.pass(2_000);
  assert.equal(await use, 'stale');
  client.receive({ n: sent[0] ?? 0, use: 'fresh' });
  assert.equal(client.isKnown('n', 'alice'), false);
});

test('a user is known to have used a nonce when the primary has found the use fresh', async () => {
  const client: NonceClient = new NonceClient(new ManualClock(), ({ n, use }) =>
    client.receive({ n, use: use.count === 1 ? 'fresh' : 'stale' }),
  );
  assert.equal(await client.use({ ...USE, nonce: 'other', count: 2 }), 'stale');
  assert.equal(await client.use(USE), 'fresh');
  assert.deepEqual(
    [client.isKnown('n', 'alice'), client.isKnown('n', 'bob'), client.isKnown('other', 'alice')],
    [true, false, false],
  );
});
