import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Body, ForwardRequest, Framing, Headers } from '../core/request.ts';
import { answerItself } from './max-forwards.ts';
import { interimHead } from './outgoing-reply.ts';
import { outgoingHeaders, upgradeOffered } from './outgoing-request.ts';
import type { ProxyIdentity } from './rooms.ts';

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
    version: '1.1',
    headers,
    target: { host: 'a.test', port: 80 },
    url: 'http://a.test/',
    path: '/',
    body: undefined,
    client: { address: '127.0.0.1', port: 1, listener: '' },
    signal: new AbortController().signal,
    startedMs: 0,
    ...more,
  };
}

const sent = (headers: Headers, more?: Partial<ForwardRequest>): Headers => {
  const asked = request(headers, more);
  return outgoingHeaders(asked, upgradeOffered(asked), US);
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

test('a GET that says that it is empty still does', () => {
  assert.deepEqual(sent([['content-length', '0']]).at(-1), ['Content-Length', '0']);
});

test('the Via that is there stays in front of ours, which tells the version of the client', () => {
  const fields = sent([['Via', '1.0 first']], { version: '1.0' });
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
  assert.deepEqual(names({ body: body({ kind: 'length', bytes: 1 }), version: '1.0' }), [
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
    { version: '1.0' },
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
];
for (const [what, headers, more, offered] of UPGRADES) {
  test(`an upgrade: ${what} is ${offered === undefined ? 'not ' : ''}offered on`, () => {
    const asked = request(headers, more);
    assert.equal(upgradeOffered(asked), offered);
    const names = outgoingHeaders(asked, offered, US).map(([name]) => name);
    assert.equal(names.includes('Upgrade'), offered !== undefined);
    assert.equal(names.includes('Connection'), offered !== undefined);
  });
}

test('an interim answer loses what is of its hop and gets a Via', () => {
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
  const trace = answerItself(request([...zero, ['Cookie', 's'], ['X', 'caf\xe9']], { method: 'TRACE' }), US);
  assert.equal(
    trace?.body.toString('latin1'),
    'TRACE http://a.test/ HTTP/1.1\r\nMax-Forwards: 0\r\nX: caf\xe9\r\n\r\n',
  );
  assert.equal(answerItself(request(zero, { method: 'OPTIONS' }), US)?.status, 200);
  assert.equal(answerItself(request(zero), US), undefined);
  assert.equal(answerItself(request([['Max-Forwards', '1']], { method: 'TRACE' }), US), undefined);
  assert.equal(answerItself(request([], { method: 'TRACE' }), US), undefined);
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
    assert.throws(() => answerItself(request(headers, { method: 'TRACE', ...more }), US), { code: 'bad_request' });
  });
}
