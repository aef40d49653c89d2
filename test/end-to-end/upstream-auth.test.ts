/** Authentication at upstream proxies: which message is sent when, and on which connection. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../../src/contracts/stages.ts';
import { parseProxyUrl } from '../../src/protocol/routes/proxy-url.ts';
import { encodeNegTokenResp } from '../../src/protocol/spnego.ts';
import {
  AuthenticatingProxy,
  asks,
  BASIC,
  basicJudge,
  DigestJudge,
  type Judge,
  ntlmIn,
  ntlmJudge,
} from '../support/authenticating-proxy.ts';
import { ask, assertNoSecretLeaks, connect, get, proxyTo, statusOf } from '../support/authentication.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';

const PASSWORD = 'Grüße:7f3a';
const LOGIN = { password: PASSWORD } as const;
const IN_DOMAIN = { ...LOGIN, domain: 'CORP' } as const;

/** Type of each NTLM message by the connection that it came on: `1:1 1:3`. */
function ntlmTranscript({ requests, origin }: AuthenticatingProxy): string[] {
  return requests.map(({ peer, credentials }) => {
    const said = ntlmIn(credentials);
    return `${origin.connections.indexOf(peer)}:${said?.type ?? '-'}`;
  });
}

const REQUESTS = [
  ['a tunnel', connect],
  ['a plain request', get],
] as const;

for (const [what, request] of REQUESTS) {
  const [method = ''] = request.split(' ');

  test(
    `Basic: ${what} sends no login before the upstream proxy asks, and from then on at once`,
    leavesNothing(async () => {
      await using upstream = await AuthenticatingProxy.listen(basicJudge('me', PASSWORD));
      await using proxy = await proxyTo(upstream, LOGIN);
      for (let n = 0; n < 3; n++) assert.equal(statusOf(await ask(proxy.port, request)), 200);
      // A 407 to a plain request may be the target's: the upstream proxy itself is asked before a login is sent.
      const confirmed = method === 'CONNECT' ? [] : ['TRACE -', 'TRACE Basic'];
      assert.deepEqual(upstream.transcript, [
        `${method} -`,
        ...confirmed,
        `${method} Basic`,
        `${method} Basic`,
        `${method} Basic`,
      ]);
      // The second message came on the connection of the first.
      assert.deepEqual([upstream.requests[0]?.peer, upstream.requests[1]?.at], [upstream.requests[1]?.peer, 1]);
      assertNoSecretLeaks(proxy, PASSWORD);
    }),
  );

  test(
    `Digest: ${what} uses one nonce, counts its uses, and follows when it is stale or forgotten`,
    leavesNothing(async () => {
      const isTunnel = method === 'CONNECT';
      const digest = new DigestJudge('me', PASSWORD, isTunnel ? 3 : 4);
      await using upstream = await AuthenticatingProxy.listen(digest.judge);
      await using proxy = await proxyTo(upstream, LOGIN);
      for (let n = 0; n < 4; n++) assert.equal(statusOf(await ask(proxy.port, request)), 200);
      const counts = upstream.requests.map(({ credentials }) => /nc=0*(\d+)/.exec(credentials ?? '')?.[1]);
      const expected = [undefined, '1', '2', '3', '4', '1'];
      // A 407 to a plain request is confirmed by the proxy itself, a stale nonce too.
      assert.deepEqual(counts, isTunnel ? expected : [undefined, ...expected.slice(0, -1), '5', '6', '1', '2']);
      const proof = upstream.requests.find(({ credentials }) => credentials !== undefined);
      assert.match(proof?.credentials ?? '', new RegExp(`uri="${proof?.uri}"`));
      digest.restart();
      assert.equal(statusOf(await ask(proxy.port, request)), 200);
      assert.equal(digest.wrong, 0);
      assertNoSecretLeaks(proxy, PASSWORD);
    }),
  );

  test(
    `NTLM: ${what} logs on a connection of its own, and its three messages stay on it`,
    leavesNothing(async () => {
      await using upstream = await AuthenticatingProxy.listen(ntlmJudge());
      await using proxy = await proxyTo(upstream, IN_DOMAIN);
      for (let n = 0; n < 3; n++) assert.equal(statusOf(await ask(proxy.port, request)), 200);
      const first = ['0:-', '1:1', '1:3'];
      // A tunnel has its connection for itself; the next one begins with the right message.
      assert.deepEqual(
        ntlmTranscript(upstream),
        method === 'CONNECT' ? [...first, '2:1', '2:3', '3:1', '3:3'] : ['0:-', ...first, '1:-', '1:-', '1:-'],
      );
      const proof = upstream.requests.find(({ credentials }) => ntlmIn(credentials)?.type === 3);
      assert.equal(ntlmIn(proof?.credentials)?.user, 'CORP\\me');
      assertNoSecretLeaks(proxy, PASSWORD);
    }),
  );
}

/** Upstream proxies with unusual NTLM. */
const ODD: readonly (readonly [what: string, judge: Judge, transcript: readonly string[]])[] = [
  [
    'its Type 2 under the other name',
    ntlmJudge({ wrap: (message) => `Negotiate ${message.toString('base64')}` }),
    ['0:-', '1:1', '1:3'],
  ],
  [
    'its Type 2 in SPNEGO',
    ntlmJudge({ wrap: (message) => `NTLM ${encodeNegTokenResp(message, undefined).toString('base64')}` }),
    ['0:-', '1:1', '1:3'],
  ],
  [
    'its Type 2 in SPNEGO, asked so',
    ntlmJudge({
      scheme: 'Negotiate',
      wrap: (message) => `Negotiate ${encodeNegTokenResp(message, undefined).toString('base64')}`,
    }),
    ['0:-', '1:1', '1:3'],
  ],
  ['its Type 2 without the SPNEGO that it was asked in', ntlmJudge({ scheme: 'Negotiate' }), ['0:-', '1:1', '1:3']],
];
for (const [what, judge, transcript] of ODD) {
  test(
    `NTLM: an upstream proxy that sends ${what} is understood`,
    leavesNothing(async () => {
      await using upstream = await AuthenticatingProxy.listen(judge);
      await using proxy = await proxyTo(upstream, IN_DOMAIN);
      assert.equal(statusOf(await ask(proxy.port, connect)), 200);
      assert.deepEqual(ntlmTranscript(upstream), transcript);
    }),
  );
}

test(
  'NTLM: an upstream proxy that knows it only without SPNEGO gets it so, and no proof before that',
  leavesNothing(async () => {
    const bare = ntlmJudge({ scheme: 'Negotiate' });
    await using upstream = await AuthenticatingProxy.listen((request) =>
      request.credentials?.startsWith('Negotiate YE') === true ? asks('Negotiate') : bare(request),
    );
    await using proxy = await proxyTo(upstream, IN_DOMAIN);
    for (let n = 0; n < 2; n++) assert.equal(statusOf(await ask(proxy.port, connect)), 200);
    assert.deepEqual(ntlmTranscript(upstream), ['0:-', '1:1', '2:1', '2:3', '3:1', '3:3']);
  }),
);

const ALL = ['Basic realm="corp"', 'Digest realm="corp", nonce="abc", qop="auth"', 'NTLM', 'Negotiate'] as const;

for (const [what, challenges] of [
  ['one field each', ALL],
  ['one field', [ALL.join(', ')]],
  ['one field with odd commas', [`,, ${ALL.join(' ,\t,')} ,`]],
] as const) {
  test(
    `weakest first in ${what}: the strongest is taken`,
    leavesNothing(async () => {
      await using upstream = await AuthenticatingProxy.listen(({ credentials }) =>
        credentials === undefined ? asks(...challenges) : 'let in',
      );
      await using proxy = await proxyTo(upstream, IN_DOMAIN);
      assert.equal(statusOf(await ask(proxy.port, connect)), 200);
      assert.deepEqual(upstream.transcript, ['CONNECT -', 'CONNECT NTLM']);
    }),
  );
}

test(
  'the order of the configuration is kept, and what it leaves out is not used',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(({ credentials }) =>
      credentials === undefined ? asks(...ALL) : 'let in',
    );
    await using proxy = await proxyTo(upstream, { ...IN_DOMAIN, auth: ['digest', 'ntlm'] });
    assert.equal(statusOf(await ask(proxy.port, connect)), 200);
    assert.deepEqual(upstream.transcript, ['CONNECT -', 'CONNECT Digest']);
    await using strict = await AuthenticatingProxy.listen(() => asks(BASIC));
    await using other = await proxyTo(strict, { ...IN_DOMAIN, auth: ['ntlm'] });
    const page = await ask(other.port, connect);
    assert.match(page, /^HTTP\/1\.1 502 /);
    assert.ok(page.includes('(Basic)'), page);
    assert.deepEqual(strict.transcript, ['CONNECT -']);
  }),
);

test(
  'a scheme that fails before any proof is followed by the next one, on a new connection',
  leavesNothing(async () => {
    const basic = basicJudge('CORP\\me', PASSWORD);
    for (const broken of [asks('NTLM', BASIC), asks('NTLM bm9uc2Vuc2U=', BASIC), asks(BASIC)]) {
      await using upstream = await AuthenticatingProxy.listen((request) => {
        if (request.credentials === undefined) return asks('NTLM', BASIC);
        return request.credentials.startsWith('NTLM') ? broken : basic(request);
      });
      await using proxy = await proxyTo(upstream, IN_DOMAIN);
      assert.equal(statusOf(await ask(proxy.port, connect)), 200);
      assert.deepEqual(upstream.transcript, ['CONNECT -', 'CONNECT NTLM', 'CONNECT Basic']);
      assert.equal(upstream.origin.connections.length, 3);
    }
  }),
);

test(
  'an upstream proxy that closes behind its Type 2 cannot be used with NTLM',
  leavesNothing(async () => {
    const ntlm = ntlmJudge();
    const basic = basicJudge('CORP\\me', PASSWORD);
    await using upstream = await AuthenticatingProxy.listen((request) => {
      if (request.credentials?.startsWith('Basic') === true) return basic(request);
      const answer = ntlm(request);
      return answer.replace(
        '\r\nContent-Length',
        `\r\nProxy-Authenticate: ${BASIC}\r\nConnection: close\r\nContent-Length`,
      );
    });
    await using proxy = await proxyTo(upstream, IN_DOMAIN);
    assert.equal(statusOf(await ask(proxy.port, connect)), 200);
    assert.deepEqual(upstream.transcript, ['CONNECT -', 'CONNECT NTLM', 'CONNECT Basic']);
  }),
);

test(
  'a 407 without a challenge gets nothing, and a 401 is the origin’s',
  leavesNothing(async () => {
    await using silent = await AuthenticatingProxy.listen(() => asks());
    await using proxy = await proxyTo(silent, IN_DOMAIN);
    assert.match(await ask(proxy.port, get), /requires authentication and names no scheme for it/);
    assert.deepEqual(silent.transcript, ['GET -', 'TRACE -']);
    const unauthorized = 'HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm="site"\r\nContent-Length: 0\r\n\r\n';
    await using passing = await AuthenticatingProxy.listen(() => unauthorized);
    await using other = await proxyTo(passing, IN_DOMAIN);
    const page = await ask(other.port, get);
    assert.match(page, /^HTTP\/1\.1 401 /);
    assert.match(page, /WWW-Authenticate: Basic realm="site"/);
    assert.deepEqual(passing.transcript, ['GET -']);
  }),
);

/** How a 407 may come, and whether the next message can follow it on its connection. */
const PAGES: readonly (readonly [what: string, page: string, connections: number])[] = [
  ['with a length', `HTTP/1.1 407 Who\r\nProxy-Authenticate: ${BASIC}\r\nContent-Length: 4\r\n\r\nwho?`, 1],
  [
    'in chunks',
    `HTTP/1.1 407 Who\r\nProxy-Authenticate: ${BASIC}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwho?\r\n0\r\n\r\n`,
    1,
  ],
  ['without a length', `HTTP/1.1 407 Who\r\nProxy-Authenticate: ${BASIC}\r\n\r\nwho?`, 2],
  [
    'that closes',
    `HTTP/1.1 407 Who\r\nProxy-Authenticate: ${BASIC}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
    2,
  ],
  [
    'that closes in its own word',
    `HTTP/1.1 407 Who\r\nProxy-Authenticate: ${BASIC}\r\nProxy-Connection: close\r\nContent-Length: 0\r\n\r\n`,
    2,
  ],
  ['in HTTP/1.0', `HTTP/1.0 407 Who\r\nProxy-Authenticate: ${BASIC}\r\nContent-Length: 0\r\n\r\n`, 2],
  [
    'in HTTP/1.0 that stays',
    `HTTP/1.0 407 Who\r\nProxy-Authenticate: ${BASIC}\r\nProxy-Connection: keep-alive\r\nContent-Length: 0\r\n\r\n`,
    1,
  ],
  [
    'with a long page',
    `HTTP/1.1 407 Who\r\nProxy-Authenticate: ${BASIC}\r\nContent-Length: 70000\r\n\r\n${'w'.repeat(70_000)}`,
    2,
  ],
];
for (const [what, page, connections] of PAGES) {
  test(
    `a 407 ${what} is followed ${connections === 1 ? 'on its connection' : 'on another connection'}`,
    leavesNothing(async () => {
      const basic = basicJudge('me', PASSWORD);
      await using upstream = await AuthenticatingProxy.listen((request) =>
        basic(request) === 'let in' ? 'let in' : page,
      );
      await using proxy = await proxyTo(upstream, LOGIN);
      assert.equal(statusOf(await ask(proxy.port, connect)), 200);
      assert.equal(upstream.origin.connections.length, connections);
    }),
  );
}

test(
  'a 407 may be cut anywhere',
  leavesNothing(async () => {
    const wire = Buffer.from(asks('Digest realm="corp",', 'nonce="abc", qop="auth"', 'NTLM', BASIC));
    for (let cut = 1; cut < wire.length; cut += 1) {
      await using upstream = await RawOrigin.listen((peer) => {
        peer.socket.on('data', (chunk: Buffer) => {
          if (chunk.includes('Proxy-Authorization: Basic')) peer.send(ok('in'));
          else void peer.sendCut(wire, cut);
        });
      });
      await using proxy = await proxyTo({ url: `http://${upstream.authority}` }, { ...LOGIN, auth: ['basic'] });
      assert.equal(statusOf(await ask(proxy.port, get)), 200, `cut at ${cut}`);
      assert.equal(upstream.connections.length, 1);
    }
  }),
);

test(
  'the login of a client to this proxy is not sent to the upstream proxy, with or without an account',
  leavesNothing(async () => {
    await using upstream = await AuthenticatingProxy.listen(basicJudge('me', PASSWORD));
    await using proxy = await proxyTo(upstream, LOGIN);
    const field = 'Proxy-Authorization: Basic c2VjcmV0OnNlY3JldA==\r\n\r\n';
    for (const request of [connect, get]) await ask(proxy.port, request.replace(/\r\n$/, field));
    assert.ok(!upstream.origin.text.includes('c2VjcmV0'));
  }),
);

test(
  'an upgrade passes an upstream proxy that asks, by each scheme',
  leavesNothing(async () => {
    const upgrade = get.replace(/\r\n$/, 'Connection: Upgrade\r\nUpgrade: chat\r\n\r\n');
    for (const [judge, login] of [
      [basicJudge('me', PASSWORD), LOGIN],
      [new DigestJudge('me', PASSWORD).judge, LOGIN],
      [ntlmJudge(), IN_DOMAIN],
    ] as const) {
      const switched = 'HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nhello';
      await using upstream = await AuthenticatingProxy.listen(judge, () => switched);
      await using proxy = await proxyTo(upstream, login);
      using client = await proxy.client();
      client.send(upgrade);
      assert.match(await client.until('hello'), /^HTTP\/1\.1 101 /);
    }
  }),
);

/** A Viaduct that requires authentication, and remembers how often it was asked. */
async function knowing(user: string, password: string): Promise<{ proxy: ProxyUnderTest; asked: () => number }> {
  const expected = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  let asked = 0;
  const proxy = await ProxyUnderTest.start(
    {},
    {
      overrides: {
        authenticators: [
          {
            scheme: 'basic',
            identify({ request }) {
              asked += 1;
              const said = request.headers.find(([name]) => name.toLowerCase() === 'proxy-authorization')?.[1];
              return said === expected ? { name: user, scheme: 'basic' } : { challenge: BASIC };
            },
          },
        ],
      },
    },
  );
  return { proxy, asked: () => asked };
}

const through = (...urls: readonly string[]): Promise<ProxyUnderTest> => {
  const routes = urls.map((url): Route => {
    const [first, ...more] = url.split(' > ').map((one) => parseProxyUrl(one, 'user'));
    return first === undefined ? { via: 'direct' } : { via: 'proxies', hops: [first, ...more] };
  });
  return ProxyUnderTest.start({}, { overrides: { router: { route: () => ({ routes, by: { kind: 'proxy' } }) } } });
};

test(
  'upstream proxies of a chain get credentials, each its own; so does the one that is tried next',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('far')));
    const one = await knowing('one', 'pw1');
    const two = await knowing('two', 'pw2');
    await using _one = one.proxy;
    await using _two = two.proxy;
    const [first, second] = [
      `http://one:pw1@127.0.0.1:${one.proxy.port}`,
      `http://two:pw2@127.0.0.1:${two.proxy.port}`,
    ];
    const closed = await RawOrigin.listen();
    await closed[Symbol.asyncDispose]();
    for (const way of [[`${first} > ${second}`], [`http://no:no@${closed.authority}`, second]]) {
      await using proxy = await through(...way);
      for (let n = 0; n < 2; n++) {
        using client = await proxy.tunnel(origin.authority);
        client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
        await client.until('far');
        const request = `GET http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`;
        assert.match(await ask(proxy.port, request), /far$/);
      }
    }
    // Once without being known to whom, and at once from then on.
    assert.ok(one.asked() <= 6, String(one.asked()));
  }),
);
