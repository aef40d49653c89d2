import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyError } from '../contracts/failure.ts';
import { lookupFailure, nodeFailure } from './node-failure.ts';

const failing = (code?: string) => Object.assign(new Error('as Node says it'), code === undefined ? {} : { code });

const CASES: readonly (readonly [code: string | undefined, connecting: string, resolving: string])[] = [
  ['ECONNREFUSED', 'connection_refused', 'dns_failed'],
  ['ECONNRESET', 'connect_failed', 'dns_failed'],
  ['ETIMEDOUT', 'connect_timeout', 'dns_timeout'],
  ['ETIMEOUT', 'connect_timeout', 'dns_timeout'],
  ['EHOSTUNREACH', 'host_unreachable', 'dns_failed'],
  ['ENOTFOUND', 'dns_failed', 'dns_failed'],
  ['EAI_AGAIN', 'dns_failed', 'dns_failed'],
  ['ESERVFAIL', 'connect_failed', 'dns_failed'],
  ['EMFILE', 'at_capacity', 'at_capacity'],
  ['ENOSPC', 'at_capacity', 'at_capacity'],
  ['ENEW', 'connect_failed', 'dns_failed'],
  [undefined, 'connect_failed', 'dns_failed'],
];
for (const [code, connecting, resolving] of CASES) {
  test(`${code ?? 'an error without a code'} is ${connecting} where one connects, ${resolving} where one resolves`, () => {
    const cause = failing(code);
    const failure = nodeFailure(cause, 'doing');
    assert.deepEqual([failure.code, failure.cause], [connecting, cause]);
    assert.equal(lookupFailure(cause, 'doing').code, resolving);
  });
}

test('what is ours already stays as it is', () => {
  const ours = new ProxyError('denied', 'by a rule');
  assert.equal(nodeFailure(ours, 'doing'), ours);
  assert.equal(lookupFailure(ours, 'doing'), ours);
});
