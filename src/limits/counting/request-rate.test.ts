import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tunnelOf } from '../../../test/support/gate-consumers.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { ProxyError } from '../../contracts/failure.ts';
import { createLimits, type Limits } from '../limits.ts';
import { type LimitsInput, limitsSchema } from '../options.ts';
import { refusalError } from '../refusal.ts';

const start = (options: LimitsInput) => {
  const clock = new ManualClock();
  return { clock, limits: createLimits(limitsSchema.parse(options), { clock, observe: () => {} }) };
};

/** What the client is sent with a refusal. */
function refusal(limits: Limits, more: Parameters<typeof tunnelOf>[0] = {}) {
  try {
    void limits.acquire(tunnelOf(more));
  } catch (error) {
    assert.ok(error instanceof ProxyError);
    return { code: error.code, detail: error.clientDetail, fields: Object.fromEntries(error.headers) };
  }
  return undefined;
}

test('lets a burst pass, then one request per token, at any time', () => {
  const { clock, limits } = start({ requests: { name: 'per-user', per: 'user', rate: 50, burst: 100 } });
  for (let count = 0; count < 100; count++) assert.equal(refusal(limits, { user: 'alice' }), undefined);
  assert.deepEqual(refusal(limits, { user: 'alice' }), {
    code: 'rate_limited',
    detail: 'limit "per-user" allows 50 requests a second',
    fields: {
      'Retry-After': '1',
      'RateLimit-Policy': '"per-user";q=100;qu="requests";w=2',
      RateLimit: '"per-user";r=0;t=1',
    },
  });
  assert.equal(refusal(limits, { user: 'bob' }), undefined, 'another user has another budget');
  clock.advance(20);
  assert.equal(refusal(limits, { user: 'alice' }), undefined);
  assert.equal(refusal(limits, { user: 'alice' })?.code, 'rate_limited');
  clock.advance(1_000);
  let passed = 0;
  while (!refusal(limits, { user: 'alice' })) passed++;
  assert.equal(passed, 50);
});

test('the refusal of a slow rate names the time that one request takes', () => {
  const { clock, limits } = start({ requests: { per: 'client', rate: 0.1 } });
  assert.equal(refusal(limits), undefined);
  clock.advance(2_000);
  const refused = refusal(limits);
  assert.equal(refused?.detail, 'limit "requests-1" allows one request every 10s');
  assert.equal(refused?.fields['Retry-After'], '8');
});

test('a request that one limit refuses costs nothing in the others', () => {
  const { limits } = start({
    requests: [
      { per: 'proxy', rate: 1, burst: 3 },
      { per: 'client', rate: 1, burst: 1 },
    ],
  });
  assert.equal(refusal(limits, { client: '192.0.2.1' }), undefined);
  for (let count = 0; count < 9; count++) assert.ok(refusal(limits, { client: '192.0.2.1' }));
  assert.equal(refusal(limits, { client: '192.0.2.2' }), undefined);
  assert.equal(refusal(limits, { client: '192.0.2.3' }), undefined);
  assert.match(refusal(limits, { client: '192.0.2.4' })?.detail ?? '', /"requests-1"/);
});

test('all addresses of one IPv6 network are one client; anonymous clients are distinguished by address', () => {
  const { limits } = start({ requests: { per: 'user', rate: 1, burst: 1 } });
  assert.equal(refusal(limits, { client: '2001:db8::1' }), undefined);
  assert.ok(refusal(limits, { client: '2001:db8::ffff:2' }));
  assert.equal(refusal(limits, { client: '2001:db8:0:1::1' }), undefined);
  assert.equal(refusal(limits, { client: '::ffff:192.0.2.1' }), undefined);
  assert.ok(refusal(limits, { client: '192.0.2.1' }));
});

test('a reload keeps what has been counted', () => {
  const { limits } = start({ requests: { per: 'client', rate: 1, burst: 2 } });
  assert.equal(refusal(limits), undefined);
  assert.equal(refusal(limits), undefined);
  limits.update(limitsSchema.parse({ requests: { per: 'client', rate: 2, burst: 4 } }));
  assert.equal(refusal(limits)?.code, 'rate_limited');
  limits.update(limitsSchema.parse({}));
  assert.equal(refusal(limits), undefined);
});

test('Retry-After is an integer, however long the wait', () => {
  for (const [retryAfterMs, seconds] of [
    [1e300, '999999999999999'],
    [1e9 + 1, '1000001'],
    [0, '1'],
  ] as const) {
    const { headers } = refusalError({
      code: 'rate_limited',
      limit: 'slow',
      clientDetail: '',
      key: '',
      retryAfterMs,
    });
    assert.deepEqual(headers, [['Retry-After', seconds]]);
  }
});
