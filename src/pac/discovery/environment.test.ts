import assert from 'node:assert/strict';
import { test } from 'node:test';
import { environmentSetting } from './environment.ts';

const proxiesOf = (environment: Record<string, string>) => {
  const setting = environmentSetting(environment);
  if (setting.kind !== 'proxies') return undefined;
  const { http, https } = setting.proxies;
  return [http, https];
};

test('reads lower case before upper case, and all_proxy where the specific variable is not set', () => {
  assert.deepEqual(proxiesOf({ http_proxy: 'a:1', HTTP_PROXY: 'b:2', HTTPS_PROXY: 'c:3' }), [
    'http://a:1',
    'http://c:3',
  ]);
  assert.deepEqual(proxiesOf({ all_proxy: 'socks5h://a:1', https_proxy: 'http://b:2' }), [
    'socks5h://a:1',
    'http://b:2',
  ]);
  assert.deepEqual(proxiesOf({ http_proxy: 'http://a:1' }), ['http://a:1', undefined]);
  assert.deepEqual(environmentSetting({ http_proxy: 'a:1', no_proxy: 'localhost, .corp 10.0.0.0/8' }), {
    kind: 'proxies',
    proxies: {
      source: 'environment',
      http: 'http://a:1',
      https: undefined,
      noProxy: ['localhost', '.corp', '10.0.0.0/8'],
    },
    wpad: 'unmentioned',
  });
});

test('an empty variable means no proxy', () => {
  assert.equal(proxiesOf({ http_proxy: '', HTTP_PROXY: 'a:1' }), undefined);
  assert.equal(proxiesOf({ NO_PROXY: 'a' }), undefined);
  assert.equal(proxiesOf({}), undefined);
});

test('in a CGI program HTTP_PROXY is a field of the request, and is ignored', () => {
  const cgi = { REQUEST_METHOD: 'GET', HTTP_PROXY: 'http://evil.example' };
  assert.equal(proxiesOf(cgi), undefined);
  assert.deepEqual(proxiesOf({ ...cgi, http_proxy: 'a:1', HTTPS_PROXY: 'b:2' }), ['http://a:1', 'http://b:2']);
});
