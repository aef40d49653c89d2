import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorsIn, proxyStatus } from './proxy-status.ts';

test('has the name of the proxy and the error', () => {
  assert.equal(proxyStatus('viaduct', 'dns_failed'), 'viaduct; error=dns_error');
});

test('a name that is not a token is a string, and cannot end it', () => {
  assert.equal(proxyStatus('7th gate', 'loop_detected'), '"7th gate"; error=proxy_loop_detected');
  assert.equal(proxyStatus('a"; error=x\r\n', 'loop_detected'), '"a_; error=x__"; error=proxy_loop_detected');
});

test('reads the errors of all proxies on the path, that of the nearest to the origin first', () => {
  const found = (...values: string[]) => errorsIn(values.map((value) => ['Proxy-Status', value]));
  assert.deepEqual(found('viaduct; error=dns_error'), ['dns_error']);
  assert.deepEqual(found('"a proxy";next-hop="x; y";error=connection_refused;rcode="NX"', 'viaduct; error=dns_error'), [
    'connection_refused',
    'dns_error',
  ]);
  assert.deepEqual(found('cache; fwd=miss, viaduct ; error=dns_timeout'), ['dns_timeout']);
  assert.deepEqual(found('viaduct', '', 'error=x', 'viaduct; error="<b>"', 'v; error=UPPER'), []);
  assert.deepEqual(found(Array(9).fill('v; error=dns_error').join()), [], 'nine proxies are not believed');
});
