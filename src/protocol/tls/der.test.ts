import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  encodeElement,
  encodeObjectId,
  objectIdText,
  onlyContent,
  readElement,
  readElements,
  SEQUENCE,
} from './der.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

test('writes lengths in the shortest form, and reads them back', () => {
  for (const [length, head] of [
    [0, '3000'],
    [127, '307f'],
    [128, '308180'],
    [255, '3081ff'],
    [256, '30820100'],
    [65_536, '3083010000'],
  ] as const) {
    const whole = encodeElement(SEQUENCE, Buffer.alloc(length));
    assert.equal(whole.toString('hex', 0, head.length / 2), head);
    assert.equal(readElement(whole)?.content.length, length);
  }
});

test('reads no element that is cut at any byte', () => {
  const whole = encodeElement(SEQUENCE, Buffer.alloc(300));
  for (let cut = 0; cut < whole.length; cut++) assert.equal(readElement(whole.subarray(0, cut)), undefined);
});

test('refuses BER, and lengths that overflow', () => {
  for (const bytes of ['30 80 00 00', '1f 81 00 00', '30 85 01 00 00 00 00', '30 84 ff ff ff ff', '30 ff']) {
    assert.equal(readElement(hex(bytes)), undefined, bytes);
  }
  assert.equal(onlyContent(hex('3000 00'), SEQUENCE), undefined);
  assert.equal(readElements(Buffer.alloc(65 * 2, hex('0500'))), undefined);
});

test('writes and reads object identifiers', () => {
  for (const [text, bytes] of [
    ['1.3.6.1.5.5.2', '06062b0601050502'],
    ['1.3.6.1.4.1.311.2.2.10', '060a2b06010401823702020a'],
    ['1.2.840.113554.1.2.2', '06092a864886f712010202'],
    ['1.2.840.48018.1.2.2', '06092a864882f712010202'],
    ['2.16.840.1.101.3.4.2.1', '0609608648016503040201'],
  ] as const) {
    assert.equal(encodeObjectId(text).toString('hex'), bytes);
    assert.equal(objectIdText(hex(bytes).subarray(2)), text);
  }
});
