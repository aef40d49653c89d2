import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../../contracts/secret.ts';
import { parseChallenges } from './challenge.ts';
import { type DigestChallenge, type DigestUse, digestCredentials, readDigestInfo, strongestDigest } from './digest.ts';

function offered(...values: string[]): DigestChallenge {
  const challenge = strongestDigest(parseChallenges(values));
  assert.ok(challenge);
  return challenge;
}

const none = (...values: string[]): void => assert.equal(strongestDigest(parseChallenges(values)), undefined);

const account = { user: 'Mufasa', password: new Secret('Circle of Life') };
const use: DigestUse = { method: 'GET', uri: '/dir/index.html', count: 1, cnonce: 'f2/wE4q7' };

test('writes the field of RFC 7616 §3.9.1, with the same quoting', () => {
  const challenge = offered(
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, ' +
      'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"',
  );
  assert.equal(
    digestCredentials(challenge, { ...use, cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ' }, account),
    'Digest username="Mufasa", realm="http-auth@example.org", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", ' +
      'uri="/dir/index.html", algorithm=MD5, response="8ca523f5e9506fed4657c9700eebdbec", ' +
      'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS", qop=auth, nc=00000001, ' +
      'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"',
  );
});

test('takes the strongest of several algorithms, and the first of equally strong ones', () => {
  const md5 = 'Digest realm=r, nonce=a, algorithm=MD5, qop=auth';
  const sha256 = 'Digest realm=r, nonce=b, algorithm=SHA-256, qop=auth';
  const sess = 'Digest realm=r, nonce=c, algorithm=sha-256-SESS, qop=auth';
  const sha512 = 'Digest realm=r, nonce=d, algorithm="SHA-512-256", qop=auth';
  assert.equal(offered(md5, sha256, sess, sha512).nonce, 'd');
  assert.equal(offered(`${md5}, ${sess}, ${sha256}`).nonce, 'c');
  assert.deepEqual(offered(sess).algorithm, { hash: 'SHA-256', session: 'session' });
  assert.equal(offered('Digest realm=r, nonce=e, algorithm=SHA-512-trunc', md5).nonce, 'a');
});

test('ignores unsupported challenges', () => {
  none('Basic realm="a", nonce="b"');
  none('Digest realm="a"');
  none('Digest realm="a", nonce="b", algorithm=SHA-512-trunc');
  none('Digest realm="a", nonce="b", qop="auth-conf"');
});

test('responds to a challenge without qop as RFC 2069 did, and to one without algorithm with MD5', () => {
  const challenge = offered('Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"');
  assert.equal(
    digestCredentials(challenge, use, { ...account, password: new Secret('CircleOfLife') }),
    'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", ' +
      'uri="/dir/index.html", response="1949323746fe6a43ef61f9606e7febea"',
  );
});

test('sends the cnonce of a session key even without qop', () => {
  const answer = digestCredentials(offered('Digest realm=r, nonce=n, algorithm=MD5-sess'), use, account) ?? '';
  assert.match(answer, /response="[0-9a-f]{32}", cnonce="f2\/wE4q7"$/);
});

test('prefers auth, and uses auth-int only when the body is known', () => {
  assert.equal(offered('Digest realm=r, nonce=n, qop="auth-int,auth"').qop, 'auth');
  const strict = offered('Digest realm=r, nonce=n, qop="auth-int"');
  assert.equal(digestCredentials(strict, use, account), undefined);
  assert.match(
    digestCredentials(strict, { ...use, body: Buffer.from('v=1') }, account) ?? '',
    /qop=auth-int, nc=00000001/,
  );
});

test('counts in eight hexadecimal digits', () => {
  const challenge = offered('Digest realm=r, nonce=n, qop=auth');
  assert.match(digestCredentials(challenge, { ...use, count: 255 }, account) ?? '', /, nc=000000ff,/);
});

test('escapes quoted strings as in the challenge, and hashes them without escapes', () => {
  const challenge = offered('Digest realm="test \\"this\\" realm!!", nonce="1053604145"');
  const answer = digestCredentials(
    challenge,
    { ...use, uri: '/1095' },
    { user: 'testuser', password: new Secret('testpass') },
  );
  assert.match(answer ?? '', /realm="test \\"this\\" realm!!".*response="df3246f44d2bc8de0e9f8fc4d7cf6e95"/);
});

test('hashes the user name with userhash, with the real SHA-512/256 (erratum 4897 to RFC 7616 §3.9.2)', () => {
  const challenge = offered(
    'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, ' +
      'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", charset=UTF-8, userhash=true',
  );
  const answer = digestCredentials(
    challenge,
    { ...use, uri: '/doe.json', cnonce: 'NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v' },
    { user: 'Jäsøn Doe', password: new Secret('Secret, or not?') },
  );
  assert.match(answer ?? '', /^Digest username="793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b", /);
  assert.match(answer ?? '', /response="3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"/);
  assert.match(answer ?? '', /, userhash=true$/);
});

test('writes a name beyond ASCII as username* where that is supported, else as octets in UTF-8', () => {
  const user = { user: 'Jäsøn, "Doe"', password: new Secret('x') };
  const modern = digestCredentials(offered('Digest realm=r, nonce=n, qop=auth, charset=UTF-8'), use, user) ?? '';
  assert.match(modern, /^Digest username\*=UTF-8''J%C3%A4s%C3%B8n%2C%20%22Doe%22, realm/);
  const old = digestCredentials(offered('Digest realm=r, nonce=n, qop=auth'), use, user) ?? '';
  assert.ok(old.startsWith('Digest username="J\xc3\xa4s\xc3\xb8n, \\"Doe\\"", '));
});

test('a password is the same in every Unicode normal form', () => {
  const challenge = offered('Digest realm=r, nonce=n, qop=auth');
  const composed = digestCredentials(challenge, use, { user: 'u', password: new Secret('p\u00e4ss') });
  assert.equal(digestCredentials(challenge, use, { user: 'u', password: new Secret('pa\u0308ss') }), composed);
});

test('a name cannot begin another field', () => {
  const user = { user: 'a\r\nX: y\0"', password: new Secret('x') };
  const answer = digestCredentials(offered('Digest realm=r, nonce=n'), use, user) ?? '';
  assert.ok(answer.startsWith('Digest username="aX: y\\"", '));
});

test('distinguishes a stale nonce from a wrong password', () => {
  assert.equal(offered('Digest realm=r, nonce=n, stale=TRUE').stale, true);
  assert.equal(offered('Digest realm=r, nonce=n, stale="false"').stale, false);
  assert.equal(offered('Digest realm=r, nonce=n').stale, false);
});

test('verifies the proof of the proxy, and uses its next nonce', () => {
  const challenge = offered('Digest realm="r", nonce="n", qop=auth');
  const right = readDigestInfo(`rspauth="${RSPAUTH}", nextnonce="m", qop=auth`, challenge, use, account);
  assert.deepEqual(right, { nextNonce: 'm', proof: 'right' });
  const wrong = readDigestInfo(`rspauth="${'0'.repeat(32)}"`, challenge, use, account);
  assert.deepEqual(wrong, { nextNonce: undefined, proof: 'wrong' });
  const other = readDigestInfo(`rspauth="${RSPAUTH}", nc=00000002, cnonce="f2/wE4q7"`, challenge, use, account);
  assert.equal(other.proof, 'wrong');
  assert.deepEqual(readDigestInfo('nextnonce="m"', challenge, use, account), { nextNonce: 'm', proof: 'absent' });
  assert.equal(readDigestInfo(`rspauth="${RSPAUTH}", qop=auth-int`, challenge, use, account).proof, 'absent');
});

/** By md5sum: MD5(MD5("Mufasa:r:Circle of Life"):n:00000001:f2/wE4q7:auth:MD5(":/dir/index.html")). */
const RSPAUTH = '70c8f70fdca9e73590140595cdcffcad';
