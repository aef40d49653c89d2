import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { selfSigned } from '../support/certificate.ts';
import { viaductEnds } from '../support/cli.ts';
import { temporaryFolder } from '../support/temporary.ts';

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());
const file = `${folder.path}/viaduct.yaml`;
writeFileSync(
  file,
  `listen: 127.0.0.1:3128
clients:
  allow: [127.0.0.0/8, 192.0.2.0/24]
  users: { ann: "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", bob: "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=" }
access:
  - { name: trial, deny: { ports: [8443] }, report: true }
  - { name: not for bob, deny: { users: [bob], hosts: ["127.0.0.2"] } }
  - { default: allow }
guard: { deny: ["127.0.0.3"] }
limits:
  bandwidth:
    - { name: line, rate: 20MiB }
    - { name: far, rate: 1MiB, match: { hosts: [".example"] } }
  tunnels: { total: 10 }
  state: ${folder.path}/no/quota.json
`,
);
const why = async (...words: string[]) => {
  const { code, out, err } = await viaductEnds(['why', '-c', file, ...words]);
  return { code, err, lines: out.trimEnd().split('\n') };
};

test('says who, by which rule, under which limits, to which addresses and by which route', async () => {
  assert.deepEqual(await why('https://127.0.0.2', '--as', 'ann'), {
    code: 0,
    err: '',
    lines: [
      'CONNECT 127.0.0.2:443, asked from 127.0.0.1',
      '  listener http://127.0.0.1:3128: HTTP/1.1',
      '  who      ann',
      '  rule     default: allowed',
      '  limits   line, tunnels total',
      '  route    direct',
      '  address  127.0.0.2: allowed',
      '=> would be served',
    ],
  });
});

test('says what would stop it, in the order in which the proxy asks', async () => {
  const cases: [words: string[], line: string, outcome: string][] = [
    [
      ['http://127.0.0.2/'],
      '  who      login required: Basic realm="viaduct", charset="UTF-8"',
      '=> refused with 407 without a password; use --as USER to see what a user may do',
    ],
    [['http://127.0.0.2/', '--as', 'bob'], '  rule     not for bob: denied, 403 (not for bob)', '=> refused with 403'],
    [['127.0.0.3:443', '--as', 'ann'], '  address  127.0.0.3: denied, 403 (guard: 127.0.0.3)', '=> refused with 403'],
    [
      ['http://127.0.0.1:3128/', '--as', 'ann'],
      '  address  127.0.0.1: denied, 508 (own listener)',
      '=> refused with 508',
    ],
    [
      ['http://127.0.0.2/', '--as', 'ann', '--from', '198.51.100.7'],
      "  who      refused: rule clients.allow: the client's address is not listed",
      '=> refused with 403',
    ],
    [
      ['https://127.0.0.2:8443', '--as', 'ann'],
      '           trial would deny it, and only reports',
      '=> would be served',
    ],
  ];
  for (const [words, line, outcome] of cases) {
    const { code, lines } = await why(...words);
    assert.equal(code, 0);
    assert.ok(lines.includes(line), `${line} in\n${lines.join('\n')}`);
    assert.equal(lines.at(-1), outcome);
  }
});

test('judges by the listener that the client would use, and says what is spoken there', async () => {
  const { cert, key } = selfSigned();
  const tls = { cert: folder.write('a.pem', cert), key: folder.write('a.key', key) };
  const many = folder.write(
    'many.json',
    JSON.stringify({
      listen: [
        'socks5://localhost:4001',
        { url: 'https://localhost:4002', tls: { ...tls, clientCa: tls.cert } },
        { url: 'any://127.0.0.1:4003', tls, h2c: true },
        { url: 'http://127.0.0.1:4004', negotiate: { keytab: folder.write('keytab', '') } },
        { url: `unix:${folder.path}/a.sock`, protocol: 'socks5', proxyProtocol: 'unix' },
      ],
      access: [{ name: 'no tunnels there', deny: { ports: [80], methods: ['CONNECT'] } }, { default: 'allow' }],
    }),
  );
  const rowsOf = async (...words: string[]) => {
    const { out } = await viaductEnds(['why', '-c', many, 'http://127.0.0.2/', ...words]);
    const [first = ''] = out.split('\n');
    const row = (name: string) =>
      out
        .split('\n')
        .find((line) => line.startsWith(`  ${name} `))
        ?.slice(11);
    return [first.split(',')[0], row('listener'), row('who')];
  };
  const anyone = 'anyone; no login is required';
  assert.deepEqual(await rowsOf(), ['CONNECT 127.0.0.2:80', 'socks5://127.0.0.1:4001: SOCKS5 and SOCKS4', anyone]);
  assert.deepEqual(await rowsOf('--listener', 'https://localhost:4002/'), [
    'GET 127.0.0.2:80',
    'https://127.0.0.1:4002: HTTP/1.1 and HTTP/2 in TLS, with a certificate',
    anyone,
  ]);
  assert.deepEqual(await rowsOf('--listener', 'any://127.0.0.1:4003'), [
    'GET 127.0.0.2:80',
    'any://127.0.0.1:4003: HTTP/1.1, HTTP/2 and SOCKS, in TLS HTTP/1.1 and HTTP/2',
    anyone,
  ]);
  assert.deepEqual(await rowsOf('--listener', 'http://127.0.0.1:4004'), [
    'GET 127.0.0.2:80',
    'http://127.0.0.1:4004: HTTP/1.1, with a Kerberos ticket',
    'login required: Negotiate',
  ]);
  assert.deepEqual(await rowsOf('--listener', `unix:${folder.path}/a.sock`), [
    'CONNECT 127.0.0.2:80',
    `unix:${folder.path}/a.sock: SOCKS5 and SOCKS4, behind a PROXY header`,
    anyone,
  ]);
  const none = await viaductEnds(['why', '-c', many, 'http://127.0.0.2/', '--listener', 'http://127.0.0.1:1']);
  assert.equal(none.code, 2);
  assert.match(
    none.err,
    /^viaduct: --listener "http:\/\/127\.0\.0\.1:1": there is no such listener; write one of socks5:\/\/127\.0\.0\.1:4001, /,
  );
});

test('gives programs one object', async () => {
  const { lines } = await why('https://127.0.0.2', '--as', 'ann', '--from', '192.0.2.9', '--json');
  assert.deepEqual(JSON.parse(lines.join('')), {
    target: { host: '127.0.0.2', port: 443 },
    kind: 'tunnel',
    client: '192.0.2.9',
    listener: 'http://127.0.0.1:3128',
    identity: { at: 'known', principal: { name: 'ann', scheme: 'basic' } },
    decision: { verdict: 'allow', rule: 'default' },
    limits: ['line', 'tunnels total'],
    routing: {
      at: 'found',
      by: { kind: 'default' },
      routes: [
        {
          route: { via: 'direct' },
          accounts: [],
          addresses: { at: 'found', judged: [{ address: '127.0.0.2', decision: { verdict: 'allow', rule: 'guard' } }] },
        },
      ],
    },
  });
});

test('says who we would be at each proxy, where it comes from and by which schemes, and why at another we would not', async () => {
  const corp = `${folder.path}/corp.yaml`;
  writeFileSync(
    corp,
    `routes: { proxy: ["http://127.0.0.1:1", "http://me:pw-7f3a@127.0.0.2:1", "http://127.0.0.3:1", "socks5://127.0.0.1:1"] }
upstreams: [{ host: 127.0.0.3, credentials: lab, auth: [digest, basic] }]
credentials: { default: { user: me, domain: CORP, from: "env:PW" }, lab: { user: bob, from: "env:PW" } }
`,
  );
  const environment = { PW: 'pw-7f3a', BASIC_CREDENTIALS: 'other:pw-7f3a' };
  const { out } = await viaductEnds(['why', '-c', corp, 'https://example.test'], environment);
  assert.deepEqual(
    out.split('\n').filter((line) => line.startsWith('  account')),
    [
      '  account  CORP\\me (env:PW), by negotiate, ntlm, digest, basic; in basic other (BASIC_CREDENTIALS)',
      '  account  me (URL of the proxy), by negotiate, ntlm, digest, basic',
      '  account  bob (env:PW), by digest, basic',
    ],
  );
  assert.doesNotMatch(out, /pw-7f3a/);
  const { out: none } = await viaductEnds(['why', '--proxy', 'http://127.0.0.1:1', 'https://example.test']);
  assert.match(none, /^ {2}account {2}a Kerberos ticket, if there is one$/m);
});

test('what cannot be asked is one line and exit 2', async () => {
  for (const [words, line] of [
    [['ftp://x/'], /^viaduct: "ftp:\/\/x\/": only http:\/\/ and https:\/\/ URLs, and host:port, can be asked about$/m],
    [['http://a b/'], /^viaduct: "http:\/\/a b\/" is neither a URL nor host:port: /],
    [['https://127.0.0.2', '--from', 'here'], /^viaduct: --from takes an IP address, not "here"$/],
    [['https://127.0.0.2', '--as', 'eve'], /^viaduct: --as "eve": clients\.users has no such user$/],
  ] as const) {
    const { code, err } = await why(...words);
    assert.equal(code, 2);
    assert.match(err.trimEnd(), line);
  }
});

test('a WebSocket is asked about as the request that carries its handshake: ws: as http:, wss: as https:', async () => {
  for (const [scheme, as] of [
    ['ws', 'http'],
    ['WSS', 'https'],
  ] as const) {
    const expected = await why(`${as}://127.0.0.2/a`, '--as', 'ann');
    assert.deepEqual(await why(`${scheme}://127.0.0.2/a`, '--as', 'ann'), expected);
    assert.equal(expected.code, 0);
  }
});

test('a URL may be typed without its scheme, and is one of https: then', async () => {
  for (const [typed, first] of [
    ['127.0.0.2', 'CONNECT 127.0.0.2:443, asked from 127.0.0.1'],
    ['127.0.0.2/path?q', 'CONNECT 127.0.0.2:443, asked from 127.0.0.1'],
    ['127.0.0.2:8443', 'CONNECT 127.0.0.2:8443, asked from 127.0.0.1'],
  ] as const) {
    const { code, lines } = await why(typed, '--as', 'ann');
    assert.deepEqual([code, lines[0]], [0, first]);
  }
});
