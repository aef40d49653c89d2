import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quoted, redact, redactKeepingUser, redactorOf } from './redact.ts';

const S = 's3cr3t';

test('what holds no secret is shown as it is', () => {
  for (const text of [
    ...['proxy.example', 'proxy.example:3128', 'http://proxy.example:3128', 'https://proxy.example/', 'http://h:70000'],
    ...[
      '[::1]:3128',
      'http://[::1]:3128/',
      '::1',
      'fe80::1%eth0',
      'fd00::/8',
      '10.0.0.0/8',
      '127.0.0.1:8080',
      '[::]:80',
    ],
    ...[
      'PROXY a:1; SOCKS b:2; DIRECT',
      'direct',
      'keyring',
      'env:NAME',
      'file:/etc/secret',
      'unix:/run/v.sock',
      '08:00',
    ],
    ...[
      '8000-8999',
      '/etc/viaduct.yaml',
      '/home/me@corp.example/v.yaml',
      './a/b',
      '../a',
      'C:\\v.yaml',
      'users.htpasswd',
    ],
    ...[
      '.corp.example',
      '*',
      '512KiB',
      'soon',
      'http',
      'system',
      '',
      'a:',
      'a:b',
      'we?rd',
      'http://pac.corp.example/path/proxy.pac',
    ],
  ])
    assert.equal(redact(text), text, text);
});

test('what may be a secret is left out, and the rest is shown', () => {
  for (const [text, masked] of [
    [`http://me:${S}@h:1`, 'http://•••@h:1'],
    [`me:${S}@h`, '•••@h'],
    [`http://${S}@h`, 'http://•••@h'],
    [`https://me:${S} @h`, 'https://•••@h'],
    [`http://me:${S}`, 'http://me:•••'],
    [`http://me:${S}/`, 'http://me:•••'],
    [`http://me:${S}@h:99999`, 'http://•••@h:99999'],
    [`u:${S}`, 'u:•••'],
    [`/etc/u:${S}`, '/etc/u:•••'],
    [`/etc/http:/me:${S}@h`, '/etc/http:•••'],
    [`/etc/${S}@h`, '/etc/•••@h'],
    [`http://h/p?token=${S}`, 'http://h/p?•••'],
    [`http://h/p?mail=a@b&t=${S}`, 'http://h/p?•••'],
    [`http://me:${S}@h/p?t=${S}#${S}`, 'http://•••@h/p?•••'],
    [`h?token=${S}`, 'h?•••'],
    [`h/p?${S}`, 'h/p?•••'],
    [`http://h?${S}`, 'http://h?•••'],
    [`we?${S}@h`, 'we?•••'],
    [`http://h/#${S}`, 'http://h/#•••'],
    [`http://me:ab?${S}@h`, 'http://•••@h'],
    [`http://me:ab#${S}@h`, 'http://•••@h'],
    [`http://me:ab/${S}@h`, 'http://•••@h'],
    [`http://me:a@${S}@h`, 'http://•••@h'],
    [`http:/me:${S}@h`, '•••@h'],
    [`http:me:${S}@h`, '•••@h'],
    [`http:me:${S}`, 'http:•••'],
    [`//me:${S}@h`, '//•••@h'],
    [`http:\\\\me:${S}@h`, 'http:\\\\•••@h'],
    [`PROXY me:${S}@h:1; DIRECT`, '•••@h:1; DIRECT'],
    [`http://a:${S}@h, http://b:${S}@i`, 'http://•••@i'],
    [`file:me:${S}`, 'file:me:•••'],
    [`data:,function ${S}`, 'data:…'],
    [` me:${S}@h\n`, '•••@h'],
    [`http://me:${S}\n@h`, 'http://•••@h'],
    [`[::1]:${S}`, '[::1]:•••'],
    [`http://me:12${S}`, 'http://me:•••'],
    [`http://h:80:${S}`, 'http://h:80:•••'],
  ] as const)
    assert.equal(redact(text), masked, text);
});

test('settings that are asked for keep the name of the user', () => {
  assert.equal(redactKeepingUser(`http://me:${S}@h:1`), 'http://me:•••@h:1');
  assert.equal(redactKeepingUser(`http://${S}@h:1`), 'http://•••@h:1');
  assert.equal(redactKeepingUser(`https://me:${S} @h`), 'https://me:•••@h');
  assert.equal(redactKeepingUser(`http://h/p?token=${S}`), 'http://h/p?•••');
});

test('a line that repeats a URL is shown without what that hides', () => {
  const hide = redactorOf(`http://h/p?t="${S}"`);
  assert.equal(hide(`asked http://h/p?t="${S}" and more`), 'asked http://h/p?••• and more');
  assert.equal(hide(JSON.stringify([`http://h/p?t="${S}"`])), '["http://h/p?•••"]');
  assert.equal(redactorOf('http://h/')('http://h/'), 'http://h/');
});

test('a value of any length is one short line', () => {
  assert.equal(redact('x'.repeat(2_000)).length, 201);
  assert.equal(redact(`${'x'.repeat(10_000)}@h`), '(10002 characters)');
  assert.equal(quoted(`me:${S}\n`), '"me:•••"');
});
