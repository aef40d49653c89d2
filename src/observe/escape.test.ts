import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cut, FIELD_CHARS_MAX, jsonLine, printable, publicUrl, quotable, word } from './escape.ts';

test('a quoted field keeps its quotes, its line and the terminal', () => {
  assert.equal(quotable('x" 200 0 "FAKE'), 'x\\" 200 0 \\"FAKE');
  assert.equal(quotable('a\r\nb\\c'), 'a\\x0d\\x0ab\\\\c');
  assert.equal(quotable('\x1b[2J\x9b1m\x7f'), '\\x1b[2J\\x9b1m\\x7f');
  assert.equal(quotable('caf\xe9 \u2028'), 'caf\\xe9 \\u2028');
});

test('a word never holds a blank, and an empty one is a dash', () => {
  assert.equal(word('al ice\t"x"\n\xe9\u20ac'), 'al%20ice%09%22x%22%0A%E9%u20AC');
  assert.equal(word(''), '-');
  assert.equal(word(undefined), '-');
});

test('a sentence of our own keeps its quotes', () => {
  assert.equal(printable('rule "ads"\n\x1b[0m'), 'rule "ads"\\x0a\\x1b[0m');
});

test('JSON stays JSON, and ASCII', () => {
  const value = { agent: 'x" 200 0 "FAKE\n\x1b[31m\x7f\x9b\u2028é' };
  assert.equal(jsonLine(value), '{"agent":"x\\" 200 0 \\"FAKE\\n\\u001b[31m\\u007f\\u009b\\u2028\\u00e9"}');
  assert.deepEqual(JSON.parse(jsonLine(value)), value);
});

test('every text becomes printable ASCII', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
      for (const harmless of [quotable, printable, word, jsonLine]) assert.match(harmless(text), /^[\x20-\x7e]*$/);
      assert.doesNotMatch(word(text), /[\s"\\]/);
    }),
  );
});

test('a value is cut where it gets long', () => {
  assert.equal(quotable('a'.repeat(5000)).length, FIELD_CHARS_MAX + 3);
  assert.equal(cut('a'.repeat(5000)).length, FIELD_CHARS_MAX + 3);
});

test('a URL is logged without userinfo, query and fragment', () => {
  assert.equal(publicUrl('http://me:secret@h.example/a?token=1#x'), 'http://h.example/a');
  assert.equal(publicUrl('http://h.example/a@b'), 'http://h.example/a@b');
  assert.equal(publicUrl('http://a@b@h.example?k'), 'http://h.example');
});
