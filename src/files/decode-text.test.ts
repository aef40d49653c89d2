import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeText } from './decode-text.ts';

const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le');

for (const [name, bytes, encoding] of [
  ['UTF-8', Buffer.from('ä€\r\n'), 'utf-8'],
  ['UTF-8 with a mark', Buffer.from('\ufeffä€\r\n'), 'utf-8'],
  ['UTF-16 with a mark', utf16('\ufeffä€\r\n'), 'utf-16le'],
  ['UTF-16 with a mark, most significant byte first', utf16('\ufeffä€\r\n').swap16(), 'utf-16be'],
  ['UTF-16 without a mark', utf16('ä€\r\n'), 'utf-16le'],
  ['UTF-16 without a mark, most significant byte first', utf16('ä€\r\n').swap16(), 'utf-16be'],
  ['what Windows calls ANSI', Buffer.from([0xe4, 0x80, 0x0d, 0x0a]), 'windows-1252'],
] as const)
  test(`${name} is read, without its mark`, () => {
    assert.deepEqual(decodeText(bytes), { text: 'ä€\r\n', encoding });
  });

test('an empty file, and one of a single byte, is a text', () => {
  assert.equal(decodeText(Buffer.alloc(0)).text, '');
  assert.equal(decodeText(Buffer.from('a')).text, 'a');
  assert.equal(decodeText(utf16('\ufeff')).text, '');
});
