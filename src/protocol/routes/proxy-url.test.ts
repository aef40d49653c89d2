import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { formatHop, parseProxyUrl } from './proxy-url.ts';

const PROXIES: readonly (readonly [text: string, shown: string])[] = [
  ['http://proxy.example:3128', 'http://proxy.example:3128'],
  ['https://proxy.example:8443/', 'https://proxy.example:8443'],
  ['HTTP://Proxy.Example', 'http://proxy.example:80'],
  ['https://proxy.example', 'https://proxy.example:443'],
  ['socks4://proxy.example', 'socks4://proxy.example:1080'],
  ['socks4a://proxy.example:9050', 'socks4a://proxy.example:9050'],
  ['socks5://10.0.0.1', 'socks5://10.0.0.1:1080'],
  ['socks5h://proxy.example:1081', 'socks5://proxy.example:1081'],
  ['proxy.example:3128', 'http://proxy.example:3128'],
  ['proxy.example', 'http://proxy.example:80'],
  ['[fd00::1]:3128', 'http://[fd00::1]:3128'],
  ['https://[fd00::1]', 'https://[fd00::1]:443'],
  ['http://münchen.example:3128', 'http://xn--mnchen-3ya.example:3128'],
  ['http://me:secret@proxy.example:3128', 'http://proxy.example:3128'],
  [' http://proxy.example:3128 ', 'http://proxy.example:3128'],
];

for (const [text, shown] of PROXIES) {
  test(`${JSON.stringify(text)} is the proxy ${shown}`, () =>
    assert.equal(formatHop(parseProxyUrl(text, 'user')), shown));
}

test('a proxy has the source that named it', () => {
  assert.deepEqual(parseProxyUrl('http://a.example:1', 'untrusted-pac'), {
    scheme: 'http',
    proxy: { host: 'a.example', port: 1 },
    namedBy: 'untrusted-pac',
  });
});

test('a login is decoded, and its password is printed as dots', () => {
  const hop = parseProxyUrl('http://CORP%5Cme:p%40ss:%25w@rd@proxy.example:3128', 'user');
  assert.equal(hop.login?.user, 'CORP\\me');
  assert.equal(hop.login?.password.reveal(), 'p@ss:%w@rd');
  assert.doesNotMatch(`${inspect(hop, { depth: 9 })}${JSON.stringify(hop)}`, /p@ss/);
});

test('a user without a password has an empty one, and no user is no login', () => {
  assert.equal(parseProxyUrl('socks4://me@proxy.example', 'user').login?.password.reveal(), '');
  assert.equal(parseProxyUrl('http://@proxy.example', 'user').login, undefined);
});

const MISTAKES: readonly (readonly [text: string, message: RegExp])[] = [
  ['', /^"" names no proxy; write for example http:/],
  ['http://', /names no proxy; write/],
  ['ftp://proxy.example', /^"ftp:\/\/proxy\.example" is not a supported kind of proxy; write/],
  ['constructor://proxy.example', /is not a supported kind of proxy/],
  ['http://proxy.example:3128/path', /has a path; leave out what follows the port$/],
  ['http://proxy.example?x', /has a path/],
  ['http://proxy.example:', /a colon without a port/],
  ['http://proxy.example:70000', /the port is not a number from 1 to 65535/],
  ['http://proxy.example:0', /the port is not a number from 1 to 65535/],
  ['http://0x7f.1:80', /the host looks like an address and is not a valid one/],
  ['http://fd00::1:80', /port is not a number/],
  ['http://a b:80', /the host has an invalid label/],
  ['socks4://me:pw@proxy.example', /^"socks4:\/\/•••@proxy\.example" has a password, and SOCKS4 carries none/],
  [`socks5://${'u'.repeat(256)}:pw@proxy.example`, /login of more than 255 bytes/],
  ['http://me:50%@proxy.example', /write %25 for %$/],
  [
    'http://a%3Ab:pw@proxy.example',
    /^"http:\/\/•••@proxy\.example" has a colon in its user name, which HTTP cannot send$/,
  ],
  ['https://CORP%5Ca%3Ab@proxy.example', /has a colon in its user name/],
  ['http://me:%0d%0a@proxy.example', /control character/],
];

for (const [text, message] of MISTAKES) {
  test(`${JSON.stringify(text.slice(0, 40))} is refused in one sentence`, () =>
    assert.throws(() => parseProxyUrl(text, 'user'), { name: 'Error', message }));
}

test('SOCKS5 can send any name, and a password may contain colons for every scheme', () => {
  const logins = ['socks5://a%3Ab:c:d@proxy.example', 'http://a:c:d@proxy.example'].map((text) => {
    const { login } = parseProxyUrl(text, 'user');
    return [login?.user, login?.password.reveal()];
  });
  assert.deepEqual(logins, [
    ['a:b', 'c:d'],
    ['a', 'c:d'],
  ]);
});

test('no message contains a password', () => {
  for (const text of ['http://me:hunter2@', 'nope://me:hunter2@a', 'me:hunter2@a b', 'http://me:hunter2%@a/p@b/x']) {
    assert.throws(
      () => parseProxyUrl(text, 'user'),
      (error) => error instanceof Error && !error.message.includes('hunter2'),
      text,
    );
  }
});
