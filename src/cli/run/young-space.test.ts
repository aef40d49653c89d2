import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { until } from '../../../test/support/until.ts';
import { collectNow } from './collect-heap.ts';
import { boundYoungSpace, youngBytes } from './young-space.ts';

const MIB = 1_048_576;

/** As requests do: most objects die at once, some live until others take their place. */
async function serve(requests: number): Promise<void> {
  const living: object[] = [];
  for (let n = 0; n < requests; n++) {
    for (let part = 0; part < 50; part++) living[(50 * n + part) % 8_000] = { n, part, parts: [n, part] };
    if (n % 100 === 0) await nextTurn();
  }
}

test('the space for young objects grows to its bound, and again when a full collection has made it small', async () => {
  boundYoungSpace();
  for (const time of ['first', 'second'] as const) {
    await until(async () => {
      await serve(1_000);
      return youngBytes() > 8 * MIB;
    }, `it has grown, the ${time} time`);
    await serve(20_000);
    assert.ok(youngBytes() <= 16 * MIB, `${youngBytes() / MIB} MiB`);
    collectNow();
    assert.ok(youngBytes() < 4 * MIB, `${youngBytes() / MIB} MiB`);
  }
});
