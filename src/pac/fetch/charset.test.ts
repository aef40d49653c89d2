import assert from 'node:assert/strict';
import { test } from 'node:test';
import { charsetOf, decodeScript } from './charset.ts';

test('a byte-order mark takes precedence over the charset, and is not part of the script', () => {
  assert.equal(decodeScript(Buffer.from('\ufeffä', 'utf8'), 'iso-8859-1'), 'ä');
  assert.equal(decodeScript(Buffer.from('\ufeffä', 'utf16le'), 'utf-8'), 'ä');
  assert.equal(decodeScript(Buffer.from('\ufeffä', 'utf16le').swap16(), ''), 'ä');
});

test('the charset counts where there is no mark; an unknown one is ignored', () => {
  assert.equal(decodeScript(Buffer.from('\u00e4', 'latin1'), 'ISO-8859-1'), 'ä');
  assert.equal(decodeScript(Buffer.from([0xcf]), 'windows-1251'), 'П');
  assert.equal(decodeScript(Buffer.from('ä', 'utf8'), 'no-such-thing'), 'ä');
});

test('without either the text is UTF-8, or windows-1252 where it is not valid UTF-8', () => {
  assert.equal(decodeScript(Buffer.from('äλ', 'utf8'), ''), 'äλ');
  assert.equal(decodeScript(Buffer.from([0x80, 0xe4]), ''), '€ä');
  assert.equal(decodeScript(Buffer.alloc(0), ''), '');
});

test('finds the charset of a media type', () => {
  assert.equal(charsetOf('text/javascript; charset=UTF-8'), 'UTF-8');
  assert.equal(charsetOf('text/javascript;CharSet = "latin1"; x=y'), 'latin1');
  assert.equal(charsetOf('text/javascript'), '');
});
