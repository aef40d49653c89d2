import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readDataUrl } from './data-url.ts';

const text = (url: string) => readDataUrl(url)?.bytes.toString('utf8');

test('reads percent-encoding and base64, with any media type', () => {
  assert.equal(text('data:,a%20b'), 'a b');
  assert.equal(text('data:application/x-ns-proxy-autoconfig;base64,YcOkYg=='), 'aäb');
  assert.equal(text('DATA:text/plain;charset=latin1;BASE64,YQ'), 'a');
  assert.equal(text('data:;base64,Y%51%3D%3D'), 'a');
  assert.equal(text('data:;base64,-_-_'), Buffer.from('+/+/', 'base64').toString('utf8'));
  assert.equal(readDataUrl('data:text/plain;charset=latin1,%e4')?.charset, 'latin1');
});

test('keeps what a script needs: a hash, a lone percent sign, line breaks, commas', () => {
  assert.equal(text('data:,a#b'), 'a#b');
  assert.equal(text('data:,5%2; 5 % 2 %zz %'), '5%2; 5 % 2 %zz %');
  assert.equal(text('data:text/plain,a,b\nc'), 'a,b\nc');
  assert.equal(text('data:,ä'), 'ä');
});

test('rejects invalid data: URLs', () => {
  for (const none of ['data:', 'data:text/plain', 'data:;base64,a b!', 'http://a/,']) {
    assert.equal(readDataUrl(none), undefined, none);
  }
});
