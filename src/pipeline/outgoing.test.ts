import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Body, ForwardRequest, Framing, Headers } from '../contracts/request.ts';
import { maxForwardsResponse } from './max-forwards.ts';
import { outgoingHeaders, upgradeOffered } from './outgoing-request.ts';
import { interimHead } from './outgoing-response.ts';
import type { ProxyIdentity } from './services.ts';

const US: ProxyIdentity = { name: 'viaduct', pseudonym: 'viaduct-ab12' };

const body = (framing: Framing): Body => ({
  framing,
  trailers: [],
  deliverTo: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
  lend: () => undefined,
});

function request(headers: Headers, more: Partial<ForwardRequest> = {}): ForwardRequest {
  return {
    id: 'r1',
    kind: 'forward',
    method: 'GET',
    protocol: 'http/1.1',
    credentials: undefined,
    headers,
    target: { host: 'a.test', port: 80 },
    url: 'http://a.test/',
    path: '/',
    body: undefined,
    client: { address: '127.0.0.1', port: 1, listener: '' },
    signal: new AbortController().signal,
    startedMs: 0,
    requestTarget: 'a.test:443',
    ...more,
  };
}

const sent = (headers: Headers, more?: Partial<ForwardRequest>): Headers => {
  const asked = request(headers, more);
  return outgoingHeaders(asked, upgradeOffered(asked), { identity: US });
};

test('Host is made from the target: without the default port, IPv6 in brackets', () => {
  const host = (name: string, port: number) => sent([['Host', 'other']], { target: { host: name, port } })[0];
  assert.deepEqual(host('a.test', 80), ['Host', 'a.test']);
  assert.deepEqual(host('a.test', 8080), ['Host', 'a.test:8080']);
  assert.deepEqual(host('::1', 80), ['Host', '[::1]']);
  assert.deepEqual(host('::1', 81), ['Host', '[::1]:81']);
});

const FRAMINGS: readonly (readonly [what: string, method: string, framing: Framing | undefined, fields: Headers])[] = [
  ['a length', 'GET', { kind: 'length', bytes: 5 }, [['Content-Length', '5']]],
  ['chunks', 'DELETE', { kind: 'chunked' }, [['Transfer-Encoding', 'chunked']]],
  ['no body where one is usual', 'POST', undefined, [['Content-Length', '0']]],
  ['no body', 'GET', undefined, []],
];
for (const [what, method, framing, fields] of FRAMINGS) {
  test(`${method} with ${what} is framed by us`, () => {
    const more = { method, body: framing && body(framing) };
    assert.deepEqual(sent([], more).slice(1), [['Via', '1.1 viaduct-ab12'], ...fields]);
  });
}

test('a GET with an explicit length of 0 keeps it', () => {
  assert.deepEqual(sent([['content-length', '0']]).at(-1), ['Content-Length', '0']);
});

test('the Via of the request stays in front of ours, which names the version of the client', () => {
  const fields = sent([['Via', '1.0 first']], { protocol: 'http/1.0' });
  assert.deepEqual(fields.slice(1), [
    ['Via', '1.0 first'],
    ['Via', '1.0 viaduct-ab12'],
  ]);
});

test('Trailer goes on with a chunked body only, Expect only for HTTP/1.1', () => {
  const headers: Headers = [
    ['Trailer', 'X-T'],
    ['Expect', '100-continue'],
  ];
  const names = (more: Partial<ForwardRequest>) => sent(headers, more).map(([name]) => name);
  assert.deepEqual(names({ body: body({ kind: 'chunked' }) }).slice(1, 3), ['Trailer', 'Expect']);
  assert.deepEqual(names({ body: body({ kind: 'length', bytes: 1 }), protocol: 'http/1.0' }), [
    'Host',
    'Via',
    'Content-Length',
  ]);
});

test('Max-Forwards counts down where it means something', () => {
  const value = (method: string) => sent([['max-forwards', '3']], { method })[1];
  assert.deepEqual(
    [value('TRACE'), value('OPTIONS')],
    [
      ['max-forwards', '2'],
      ['max-forwards', '2'],
    ],
  );
  assert.deepEqual(value('GET'), ['max-forwards', '3']);
});

const UPGRADES: readonly (readonly [
  what: string,
  headers: Headers,
  more: Partial<ForwardRequest>,
  offered: string | undefined,
])[] = [
  [
    'a WebSocket',
    [
      ['Connection', 'keep-alive, Upgrade'],
      ['Upgrade', 'websocket'],
    ],
    {},
    'websocket',
  ],
  ['one that is not nominated', [['Upgrade', 'websocket']], {}, undefined],
  [
    'one in HTTP/1.0',
    [
      ['Connection', 'upgrade'],
      ['Upgrade', 'websocket'],
    ],
    { protocol: 'http/1.0' },
    undefined,
  ],
  [
    'one with a body',
    [
      ['Connection', 'upgrade'],
      ['Upgrade', 'x'],
    ],
    { body: body({ kind: 'chunked' }) },
    undefined,
  ],
  [
    'two',
    [
      ['Connection', 'upgrade'],
      ['Upgrade', 'websocket, x'],
    ],
    {},
    undefined,
  ],
  [
    'h2c',
    [
      ['Connection', 'upgrade'],
      ['Upgrade', 'h2c'],
    ],
    {},
    undefined,
  ],
  [
    'HTTP/2.0',
    [
      ['Connection', 'upgrade'],
      ['Upgrade', 'HTTP/2.0'],
    ],
    {},
    undefined,
  ],
  [
    'TLS/1.3',
    [
      ['Connection', 'upgrade'],
      ['Upgrade', 'TLS/1.3'],
    ],
    {},
    undefined,
  ],
  ...[
    ...['h2c;q=1', 'h2c; q=1', '"h2c"', "'h2c'", 'H2C', 'h2c/1', 'h2c-14', 'h2-16', 'h2', 'HTTP2.0', 'HTTP/2', 'HTTP2'],
    ...['http/2.0;x', '"HTTP/2.0"', 'h3', 'HTTP/3', 'HTTPS/1.1', 'TLS', 'tls/1.0;a', 'SPDY/3.1', '\xa0h2c', 'h2c\xa0'],
    ...['"h2c, x"', '\\h2c', ', h2c ,', 'h2c, HTTP/2.0', 'websocket;a=b', '"websocket"', 'web socket', 'websocket\xa0'],
  ].map(
    (upgrade) =>
      [
        upgrade,
        [
          ['Connection', 'Upgrade, HTTP2-Settings'],
          ['Upgrade', upgrade],
          ['HTTP2-Settings', 'AAMAAABk'],
        ],
        {},
        undefined,
      ] as const,
  ),
  ...['h2c, websocket', 'websocket, h2c;q=1', '"h2c", websocket, HTTP2.0', 'WebSocket, h2c-14'].map(
    (upgrade) =>
      [
        upgrade,
        [
          ['Connection', 'HTTP2-Settings, Upgrade'],
          ['HTTP2-Settings', 'AAMAAABk'],
          ['Upgrade', upgrade],
        ],
        {},
        'websocket',
      ] as const,
  ),
  [
    'WebSocket on one line and h2c on another',
    [
      ['Connection', 'upgrade'],
      ['Upgrade', 'h2c'],
      ['Upgrade', 'websocket'],
    ],
    {},
    'websocket',
  ],
];
for (const [what, headers, more, offered] of UPGRADES) {
  test(`an upgrade: ${what} is ${offered === undefined ? 'not ' : ''}offered on`, () => {
    const asked = request(headers, more);
    assert.equal(upgradeOffered(asked), offered);
    const names = outgoingHeaders(asked, offered, { identity: US }).map(([name]) => name);
    assert.equal(names.includes('Upgrade'), offered !== undefined);
    assert.equal(names.includes('Connection'), offered !== undefined);
    const text = JSON.stringify(outgoingHeaders(asked, offered, { identity: US }));
    assert.doesNotMatch(text, /http2|h2c/i);
  });
}

test('an interim response loses what is of its hop and gets a Via', () => {
  const head = {
    status: 103,
    reason: 'Early Hints',
    headers: [
      ['Link', '</a>'],
      ['Connection', 'x'],
      ['X', '1'],
    ],
  } as const;
  assert.deepEqual(interimHead(head, US).headers, [
    ['Link', '</a>'],
    ['Via', '1.1 viaduct-ab12'],
  ]);
});

test('TRACE and OPTIONS with Max-Forwards 0 are answered here, and other requests are not', () => {
  const zero: Headers = [['Max-Forwards', '0']];
  const trace = maxForwardsResponse(request([...zero, ['Cookie', 's'], ['X', 'caf\xe9']], { method: 'TRACE' }), US);
  assert.equal(
    trace?.body.toString('latin1'),
    'TRACE http://a.test/ HTTP/1.1\r\nMax-Forwards: 0\r\nX: caf\xe9\r\n\r\n',
  );
  assert.equal(maxForwardsResponse(request(zero, { method: 'OPTIONS' }), US)?.status, 200);
  assert.equal(maxForwardsResponse(request(zero), US), undefined);
  assert.equal(maxForwardsResponse(request([['Max-Forwards', '1']], { method: 'TRACE' }), US), undefined);
  assert.equal(maxForwardsResponse(request([], { method: 'TRACE' }), US), undefined);
});

for (const [what, headers, more] of [
  ['a body', [], { body: body({ kind: 'length', bytes: 1 }) }],
  [
    'two Max-Forwards',
    [
      ['Max-Forwards', '1'],
      ['Max-Forwards', '0'],
    ],
    {},
  ],
  ['a Max-Forwards that is no number', [['Max-Forwards', '-1']], {}],
] as const) {
  test(`TRACE with ${what} is refused`, () => {
    assert.throws(() => maxForwardsResponse(request(headers, { method: 'TRACE', ...more }), US), {
      code: 'bad_request',
    });
  });
}
