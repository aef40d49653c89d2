import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { QuotaLease } from './quota-lease.ts';

test('what was given back by a report without an answer is not used again: another instance may have it', () => {
  const clock = new ManualClock();
  const lease = new QuotaLease({
    clock,
    options: { per: 'user', bytes: 1_000_000, every: 86_400_000 },
    instances: () => 2,
    isStoreUp: () => true,
    onChanged() {},
  });
  assert.equal(
    lease.requestMore(65_536, () => {}),
    'coming',
  );
  lease.onGranted({ bytes: 65_536, used: 65_536, sinceMs: 1, resetsInMs: 1_000_000 }, lease.report());
  lease.take(1_000);
  clock.advance(1_000);
  const report = lease.report();
  assert.equal(report.back, 64_536);
  lease.onFailed(report);
  assert.equal(lease.grantable(), 0);
  assert.equal(lease.hasReport, false);
});
