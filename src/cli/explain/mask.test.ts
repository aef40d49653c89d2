import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maskedLines, maskUrls, shownUrl } from './mask.ts';

test('credentials lose everything but their scheme', () => {
  assert.deepEqual(
    maskedLines(
      'CONNECT h:443 HTTP/1.1\r\nProxy-Authorization: Basic dTpw\r\nauthorization:Bearer a.b.c\r\nAuthorization: lonely\r\n',
    ),
    ['CONNECT h:443 HTTP/1.1', 'Proxy-Authorization: Basic •••', 'authorization: Bearer •••', 'Authorization: •••'],
  );
});

test('cookies keep their names and terms', () => {
  assert.deepEqual(
    maskedLines('HTTP/1.1 200 OK\r\nSet-Cookie: sid=a=b; Path=/; HttpOnly\r\nCookie: a=1; b=2; c\r\n').slice(1),
    ['Set-Cookie: sid=•••; Path=/; HttpOnly', 'Cookie: a=•••; b=•••; •••'],
  );
});

test('tokens of a handshake are masked, its challenge is not', () => {
  assert.deepEqual(
    maskedLines(
      'HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM TlRMTVNTUAAC\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: Basic realm="a b"\r\n',
    ).slice(1),
    ['Proxy-Authenticate: NTLM •••', 'Proxy-Authenticate: Negotiate', 'Proxy-Authenticate: Basic realm="a b"'],
  );
});

test('URLs lose userinfo, the values of a query, and the fragment, wherever they stand', () => {
  assert.equal(maskUrls('GET http://u:p@h/a?k=v&flag&x= HTTP/1.1'), 'GET http://•••@h/a?k=•••&•••&x=••• HTTP/1.1');
  assert.deepEqual(maskedLines('HTTP/1.1 302 x\r\nLocation: /cb?code=abc#token=1\r\n').slice(1), [
    'Location: /cb?code=•••#•••',
  ]);
  assert.equal(shownUrl(new URL('http://u:p@h.example/a?k=v#f')), 'http://h.example/a?k=•••');
});

test('other fields stay as they are', () => {
  assert.deepEqual(maskedLines('HTTP/1.1 200 OK\r\nVia: 1.1 x\r\nDate: Sat, 1 Mar 2026 12:00:00 GMT').slice(1), [
    'Via: 1.1 x',
    'Date: Sat, 1 Mar 2026 12:00:00 GMT',
  ]);
});

test('a secret in a folded line, or behind lines that end in LF alone, is masked as any other', () => {
  assert.deepEqual(
    maskedLines('HTTP/1.1 200 OK\nSet-Cookie: a=\n\tsecret\n x\nX-B: 1\r\nSet-Cookie:\r\n b=secret\n').slice(1),
    ['Set-Cookie: a=•••', 'X-B: 1', 'Set-Cookie: b=•••'],
  );
});
