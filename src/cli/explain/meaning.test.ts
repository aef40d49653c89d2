import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProxyRecord } from '../../contracts/record.ts';
import { proxyStatusError, refusalMeaning, socketMeaning } from './meaning.ts';

test('Proxy-Status: the error nearest to the origin is the cause', () => {
  assert.deepEqual(
    proxyStatusError(['Proxy-Status: a.example; error=dns_error; rcode=NXDOMAIN, viaduct; error=http_protocol_error']),
    {
      by: 'a.example',
      token: 'dns_error',
    },
  );
  assert.deepEqual(proxyStatusError(['X: y', 'proxy-status: "My Proxy"; error=connection_refused']), {
    by: 'My Proxy',
    token: 'connection_refused',
  });
  assert.equal(proxyStatusError(['Proxy-Status: cache; hit']), undefined);
  assert.equal(proxyStatusError(['Via: 1.1 x']), undefined);
});

test('a refusal is explained by its error type, else by its status', () => {
  assert.deepEqual(refusalMeaning(502, ['Proxy-Status: viaduct; error=connection_refused'], undefined), {
    kind: 'failed',
    who: 'the destination',
    what: 'it is there, but nothing listens on that port',
    rfc: 'RFC 9209 §2.3',
  });
  assert.deepEqual(refusalMeaning(407, [], undefined), {
    kind: 'failed',
    who: 'the proxy',
    what: 'Proxy authentication required',
    advice: 'name them: --through http://USER:PASSWORD@HOST:PORT',
    rfc: 'RFC 9110 §15.5',
  });
  assert.equal(refusalMeaning(599, [], undefined).what, 'it responded with 599');
});

test('our own proxy knows more than it sends to its clients', () => {
  const record: ProxyRecord = {
    id: 'r1',
    kind: 'tunnel',
    protocol: '1.1',
    startedAt: new Date(0),
    durationMs: 1,
    client: { address: '127.0.0.1', port: 1, listener: 'http://127.0.0.1:3128' },
    method: 'CONNECT',
    limits: [],
    status: 502,
    failure: 'dns_failed',
    detail: 'nowhere.example: no such name',
    bytesUp: 0,
    bytesDown: 0,
    timings: {},
  };
  const { who, what } = refusalMeaning(502, ['Proxy-Status: viaduct; error=dns_error'], record);
  assert.deepEqual(
    [who, what],
    ['the name service', 'The host name could not be resolved. (nowhere.example: no such name)'],
  );
});

test('errors of a socket have a text', () => {
  assert.equal(
    socketMeaning(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })),
    'nothing listens there',
  );
  assert.equal(socketMeaning(new Error('something else')), 'something else');
});
