/** What only a wire over a socket of Node does; what all wires promise is in test/contract/wire.ts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { wirePair } from '../../test/support/wire-pair.ts';

test('a reset while a FIN is on its way closes the socket all the same', async () => {
  await using pair = await wirePair();
  const { wire } = pair;
  wire.stream.end();
  // Now libuv has been asked for the FIN and has not answered yet.
  await new Promise<void>((resolve) => process.nextTick(resolve));
  const closed = once(wire.stream, 'close');
  wire.reset();
  await closed;
  assert.equal(wire.stream.errored, null);
});
