import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proxyStatus } from './proxy-status.ts';

test('says who answered and why', () => {
  assert.equal(proxyStatus('viaduct', 'dns_failed'), 'viaduct; error=dns_error');
});

test('a name that is no token is a string, and cannot break out of it', () => {
  assert.equal(proxyStatus('7th gate', 'loop'), '"7th gate"; error=proxy_loop_detected');
  assert.equal(proxyStatus('a"; error=x\r\n', 'loop'), '"a_; error=x__"; error=proxy_loop_detected');
});
