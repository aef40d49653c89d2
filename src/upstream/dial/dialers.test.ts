import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialerKeepsItsPromises } from '../../../test/contract/dialer.ts';
import { byLogin } from '../../../test/support/by-login.ts';
import { dialScope } from '../../../test/support/dial-scope.ts';
import { leavesNothing } from '../../../test/support/no-leaks.ts';
import { wirePair } from '../../../test/support/wire-pair.ts';
import { ProxyError } from '../../contracts/failure.ts';
import { HEAD_LIMITS } from '../../protocol/http1/head-buffer.ts';
import { parseProxyUrl } from '../../protocol/routes/proxy-url.ts';
import { HttpProxyDialer } from './http-proxy.ts';
import { Socks4Dialer } from './socks4.ts';
import { Socks5Dialer } from './socks5.ts';

const headMs = 300;
const http = new HttpProxyDialer({ limits: HEAD_LIMITS, headMs, auth: byLogin() });
/** One that has never met the proxy before. */
const forgetful = new HttpProxyDialer({
  limits: HEAD_LIMITS,
  headMs,
  auth: { contextFor: (hop) => byLogin().contextFor(hop) },
});
const socks5 = new Socks5Dialer({ headMs });
const noAddress = () => Promise.reject(new ProxyError('dns_failed', 'test'));
const socks4 = new Socks4Dialer({ headMs, addressesOf: noAddress });

const hop = (url: string) => parseProxyUrl(url, 'user');
const TARGET = { host: 'a.test', port: 443 };

const CONNECT = 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n';
dialerKeepsItsPromises({
  name: 'http',
  dialer: http,
  hop: hop('http://p.test:3128'),
  exchange: [[`${CONNECT}\r\n`, 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n']],
});
dialerKeepsItsPromises({
  name: 'http with a login',
  dialer: forgetful,
  hop: hop('http://me:p%C3%BC@p.test:3128'),
  exchange: [
    [`${CONNECT}\r\n`, 'HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 2\r\n\r\nno'],
    [`${CONNECT}Proxy-Authorization: Basic bWU6cMO8\r\n\r\n`, 'HTTP/1.0 299 Fine\r\n\r\n'],
  ],
});
const SOCKS5_ASKS = '\x05\x01\0\x03\x06a.test\x01\xbb';
const SOCKS5_YES = '\x05\0\0\x01\xc0\0\x02\x01\x04\0';
dialerKeepsItsPromises({
  name: 'socks5',
  dialer: socks5,
  hop: hop('socks5://p.test'),
  exchange: [
    ['\x05\x01\0', '\x05\0'],
    [SOCKS5_ASKS, SOCKS5_YES],
  ],
});
dialerKeepsItsPromises({
  name: 'socks5 with a login',
  dialer: socks5,
  hop: hop('socks5://me:pw@p.test'),
  exchange: [
    ['\x05\x02\0\x02', '\x05\x02'],
    ['\x01\x02me\x02pw', '\x01\0'],
    [SOCKS5_ASKS, SOCKS5_YES],
  ],
});
const SOCKS4_YES = '\0\x5a\0\0\0\0\0\0';
dialerKeepsItsPromises({
  name: 'socks4a',
  dialer: socks4,
  hop: hop('socks4a://p.test'),
  exchange: [['\x04\x01\x01\xbb\0\0\0\x01\0a.test\0', SOCKS4_YES]],
});
dialerKeepsItsPromises({
  name: 'socks4 for a name that has an address here',
  dialer: new Socks4Dialer({ headMs, addressesOf: async () => ['2001:db8::1', '192.0.2.7'] }),
  hop: hop('socks4://me@p.test'),
  exchange: [['\x04\x01\x01\xbb\xc0\0\x02\x07me\0', SOCKS4_YES]],
});
dialerKeepsItsPromises({
  name: 'socks4 for a name that has none',
  dialer: socks4,
  hop: hop('socks4://p.test'),
  exchange: [['\x04\x01\x01\xbb\0\0\0\x01\0a.test\0', SOCKS4_YES]],
});

interface Refusal {
  readonly by: string;
  /** All that the proxy says; it is not asked in turns. */
  readonly says: string;
  readonly code: string;
  readonly clientDetail: string | undefined;
}
const REFUSALS: readonly Refusal[] = [
  {
    by: 'http://p.test',
    says: 'HTTP/1.1 403 No\r\n\r\n',
    code: 'upstream_refused',
    clientDetail: 'It responded with 403.',
  },
  {
    by: 'http://p.test',
    says: 'HTTP/1.1 302 Away\r\n\r\n',
    code: 'upstream_refused',
    clientDetail: 'It responded with 302.',
  },
  {
    by: 'http://p.test',
    says: 'HTTP/1.1 500 Oh\r\n\r\n',
    code: 'upstream_refused',
    clientDetail: 'It responded with 500.',
  },
  {
    by: 'http://p.test',
    says: 'HTTP/1.1 502 Oh\r\n\r\n',
    code: 'upstream_failed',
    clientDetail: 'It responded with 502.',
  },
  {
    by: 'http://p.test',
    says: 'HTTP/1.1 503 Oh\r\n\r\n',
    code: 'upstream_failed',
    clientDetail: 'It responded with 503.',
  },
  {
    by: 'http://p.test',
    says: 'HTTP/1.1 504 Oh\r\n\r\n',
    code: 'upstream_failed',
    clientDetail: 'It responded with 504.',
  },
  {
    by: 'http://p.test',
    says: 'HTTP/1.1 407 Who\r\n\r\n',
    code: 'upstream_auth_failed',
    clientDetail: 'http://p.test:80 requires authentication and names no scheme for it; ask its administrator.',
  },
  { by: 'http://p.test', says: 'HTTP/1.1 101 Other\r\n\r\n', code: 'upstream_protocol', clientDetail: undefined },
  {
    by: 'http://p.test',
    says: 'HTTP/1.1 103 Hints\r\n\r\n'.repeat(10),
    code: 'upstream_protocol',
    clientDetail: undefined,
  },
  {
    by: 'http://p.test',
    says: `HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(300)}\r\n`,
    code: 'upstream_protocol',
    clientDetail: undefined,
  },
  {
    by: 'http://p.test',
    says: `HTTP/1.1 200 ${'a'.repeat(70_000)}`,
    code: 'upstream_protocol',
    clientDetail: undefined,
  },
  {
    by: 'socks5://p.test',
    says: '\x05\xff',
    code: 'upstream_auth_failed',
    clientDetail: 'socks5://p.test:1080 requires a user name and password; write them into its URL.',
  },
  {
    by: 'socks5://me:secret@p.test',
    says: '\x05\x02\x01\x01',
    code: 'upstream_auth_failed',
    clientDetail: 'socks5://p.test:1080 did not accept the user name and password.',
  },
  {
    by: 'socks5://p.test',
    says: '\x05\x02',
    code: 'upstream_auth_failed',
    clientDetail: 'socks5://p.test:1080 requires a user name and password; write them into its URL.',
  },
  {
    by: 'socks5://p.test',
    says: '\x05\0\x05\x02',
    code: 'upstream_refused',
    clientDetail: 'It responded with "not allowed by its rules" (2).',
  },
  {
    by: 'socks5://p.test',
    says: '\x05\0\x05\x05',
    code: 'upstream_failed',
    clientDetail: 'It responded with "connection refused" (5).',
  },
  {
    by: 'socks5://p.test',
    says: '\x05\0\x05\x63',
    code: 'upstream_refused',
    clientDetail: 'It responded with "a reply without a meaning" (99).',
  },
  {
    by: 'socks4a://p.test',
    says: '\0\x5b\0\0\0\0\0\0',
    code: 'upstream_refused',
    clientDetail: 'It responded with "rejected or failed" (91).',
  },
  {
    by: 'socks4a://p.test',
    says: '\0\x5d\0\0\0\0\0\0',
    code: 'upstream_auth_failed',
    clientDetail: 'socks4a://p.test:1080 requires an ident daemon on this machine (RFC 1413).',
  },
];
for (const { by, says, code, clientDetail } of REFUSALS) {
  const shown = JSON.stringify(says.slice(0, 20));
  test(
    `${by} that says ${shown} is ${code}`,
    leavesNothing(async () => {
      await using pair = await wirePair();
      const dialer = [http, socks5, socks4].find(({ schemes }) =>
        schemes.some((scheme) => by.startsWith(`${scheme}:`)),
      );
      assert.ok(dialer !== undefined);
      pair.peer.send(says);
      const dialling = dialer.dial(hop(by), TARGET, dialScope(), async () => pair.connection);
      await assert.rejects(dialling, (error) => {
        assert.ok(error instanceof ProxyError);
        assert.deepEqual([error.code, error.clientDetail], [code, clientDetail]);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
      assert.equal(pair.wire.stream.destroyed, true);
    }),
  );
}

test('a CONNECT carries the Via of the request that it is for, and its heads are reported', async () => {
  await using pair = await wirePair();
  const within = dialScope({ via: '1.0 fred, 1.1 viaduct-ab' });
  const dialling = http.dial(hop('http://p.test'), { host: '::1', port: 8443 }, within, async () => pair.connection);
  await pair.peer.until('\r\n\r\n');
  pair.peer.send('HTTP/1.1 200 OK\r\nVia: 1.1 p\r\n\r\n');
  await dialling;
  assert.deepEqual(within.heads, [
    'by-us CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\nVia: 1.0 fred, 1.1 viaduct-ab\r\n',
    'by-peer HTTP/1.1 200 OK\r\nVia: 1.1 p',
  ]);
});

test('socks4 sends no address that the guard forbids', async () => {
  const forbidden = new ProxyError('address_prohibited', 'test');
  const dialer = new Socks4Dialer({ headMs, addressesOf: () => Promise.reject(forbidden) });
  const reach = () => Promise.reject(new Error('it was reached'));
  await assert.rejects(dialer.dial(hop('socks4://p.test'), TARGET, dialScope(), reach), (error) => error === forbidden);
});
