import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tokensIn } from './tokens.ts';

test('Basic gives the user, and never the password', () => {
  assert.deepEqual(
    tokensIn('GET / HTTP/1.1\r\nProxy-Authorization: Basic bWU6YTpi\r\nProxy-Authenticate: Basic realm="x"\r\n'),
    [
      {
        field: 'Proxy-Authorization',
        scheme: 'Basic',
        parts: [
          { name: 'user', value: 'me' },
          { name: 'password', value: '•••' },
        ],
      },
    ],
  );
  assert.deepEqual(tokensIn('X\r\nProxy-Authorization: Basic bm9jb2xvbg==')[0]?.parts, [
    { name: 'pair', value: '•••' },
  ]);
});

test('Digest gives its parameters, but those that are made from the password', () => {
  const field =
    'Proxy-Authorization: Digest username="me", realm="a b", nonce="n", uri="h:443", response="0a", qop=auth, nc=00000001, cnonce="c"';
  const [token] = tokensIn(`CONNECT h:443 HTTP/1.1\r\n${field}`);
  assert.deepEqual(
    token?.parts.map(({ name, value }) => `${name}=${value}`),
    ['username=me', 'realm=a b', 'nonce=n', 'uri=h:443', 'response=•••', 'qop=auth', 'nc=00000001', 'cnonce=•••'],
  );
  assert.deepEqual(tokensIn('HTTP/1.1 200 OK\r\nProxy-Authentication-Info: nextnonce="n", rspauth="0a", nc=00000001'), [
    {
      field: 'Proxy-Authentication-Info',
      scheme: '',
      parts: [
        { name: 'nextnonce', value: '•••' },
        { name: 'rspauth', value: '•••' },
        { name: 'nc', value: '00000001' },
      ],
    },
  ]);
});

test('NTLM and Negotiate are taken apart, whichever wrapping they are in', () => {
  const negotiate = 'TlRMTVNTUAABAAAAB4IIogAAAAAoAAAAAAAAACgAAAAKAGVKAAAADw==';
  const first = (line: string) => tokensIn(`X\r\n${line}`).map(({ scheme, parts }) => `${scheme}: ${parts[0]?.value}`);
  assert.deepEqual(first(`Proxy-Authorization: NTLM ${negotiate}`), ['NTLM: Type 1, negotiate']);
  assert.deepEqual(first(`Proxy-Authorization: Negotiate ${negotiate}`), ['Negotiate: NTLM, without SPNEGO']);
  assert.deepEqual(first('Proxy-Authenticate: Negotiate AAAA'), ['Negotiate: (unreadable, 3 bytes)']);
  assert.deepEqual(first('Proxy-Authenticate: Negotiate, NTLM, Basic realm="x"'), []);
  assert.deepEqual(
    first(`WWW-Authenticate: NTLM ${negotiate}`),
    [],
    'what an origin asks is none of the proxy’s business',
  );
});
