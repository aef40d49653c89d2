import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rc4 } from './rc4.ts';

test('produces the key stream of RFC 6229, in pieces and at once', () => {
  const key = Buffer.from('0102030405060708090a0b0c0d0e0f10', 'hex');
  const stream = '9ac7cc9a609d1ef7b2932899cde41b975248c4959014126a6e8a84f11d1a9e1c';
  assert.equal(rc4(key)(Buffer.alloc(32)).toString('hex'), stream);
  const next = rc4(key);
  assert.equal(Buffer.concat([next(Buffer.alloc(1)), next(Buffer.alloc(31))]).toString('hex'), stream);
});
