import assert from 'node:assert/strict';
import { test } from 'node:test';
import { md4 } from './md4.ts';

test('hashes messages of every length around its block of 64 bytes', () => {
  // By openssl dgst -md4 with its legacy provider, of so many letters a.
  const known: readonly (readonly [number, string])[] = [
    [0, '31d6cfe0d16ae931b73c59d7e0c089c0'],
    [1, 'bde52cb31de33e46245e05fbdbd6fb24'],
    [55, 'c889c81dd86c4d2e025778944ea02881'],
    [56, 'd5f9a9e9257077a5f08b0b92f348b0ad'],
    [57, '872097e6f78e3b53f890459d03bc6fb7'],
    [63, '7ea3da77432d44c323671097d1348fc8'],
    [64, '52f5076fabd22680234a3fa9f9dc5732'],
    [65, '330e377bf231f3cacfecc2c182fe7e5b'],
    [119, 'e65dd227ccef97fa1d34d70189120f76'],
    [120, 'b03ddbd470b47c013e0c7ab2ddd763db'],
    [128, 'cb4a20a561558e29460190c91dced59f'],
    [1000, '5f1bf26a8067c9159b91f1440f7c9e8a'],
  ];
  for (const [length, digest] of known) assert.equal(md4(Buffer.alloc(length, 'a')).toString('hex'), digest);
});
