import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loopbackIn, reasonIn } from './tool-checks.ts';

test('of what a tool prints, the line that says what went wrong', () => {
  const npm = [
    'npm warn config proxy is old',
    'npm error code ECONNREFUSED',
    'npm error A complete log of this run can be found in: /home/me/.npm/_logs/x.log',
  ];
  assert.equal(reasonIn(npm.join('\n')), 'npm error code ECONNREFUSED');
  assert.equal(
    reasonIn("fatal: unable to access 'https://me:secret@git.corp/a/': Could not resolve proxy: \u001b[31mp\n"),
    "fatal: unable to access 'https://•••@git.corp/a/': Could not resolve proxy: \\x1b[31mp",
  );
  assert.equal(
    reasonIn('curl: (56) CONNECT tunnel failed, response 502\r\n'),
    'curl: (56) CONNECT tunnel failed, response 502',
  );
  assert.equal(reasonIn('one\n\n  two\n'), 'two');
  assert.equal(reasonIn(' \n'), undefined);
});

test('the address of a proxy on this machine in a value', () => {
  assert.deepEqual(loopbackIn('"http://localhost:3129/"'), { host: 'localhost', port: 3129 });
  assert.deepEqual(loopbackIn('http://[::1]:80'), { host: '::1', port: 80 });
  assert.equal(loopbackIn('http://proxy.corp:8080'), undefined);
});
