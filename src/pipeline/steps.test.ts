import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TunnelRequest } from '../core/request.ts';
import type { Admitted, Identified, Received } from '../core/stages.ts';
import type { Account } from './account.ts';
import type { Rooms } from './rooms.ts';
import { admit, connect, identify, route } from './steps.ts';

/** Never called: that it compiles, errors included, is the test. */
export async function outOfOrder(received: Received<TunnelRequest>, rooms: Rooms, account: Account): Promise<void> {
  // @ts-expect-error nobody is admitted before it is known who asks
  await admit(received, rooms, account);
  const identified: Identified<TunnelRequest> = await identify(received, rooms, account);
  // @ts-expect-error no way is looked for before it may be gone
  await route(identified, rooms, account);
  const admitted: Admitted<TunnelRequest> = await admit(identified, rooms, account);
  // @ts-expect-error nothing is dialled before a way is known
  await connect(admitted, rooms, account);
}

test('the steps of the story compile in their order only', () => assert.equal(typeof outOfOrder, 'function'));
