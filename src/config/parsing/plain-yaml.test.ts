import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseDocument } from 'yaml';
import { plainJson } from './plain-json.ts';
import { plainYaml } from './plain-yaml.ts';

/** What the parser of YAML makes of a text; `undefined` for one that it finds a mistake in, or warns of. */
function parsed(text: string): { readonly values: unknown } | undefined {
  const document = parseDocument(text, { merge: true, prettyErrors: false });
  if (document.errors.length > 0 || document.warnings.length > 0) return undefined;
  return { values: document.toJS() };
}

const PLAIN: readonly string[] = [
  '',
  '# later\n\n',
  'listen: localhost:3128 # here\nopen: false\n',
  'access:\n  - { name: ads, deny: { hosts: [".ads.example", \'*.x\'], ports: [443, "8000-8999"] } }\n  - default: allow\n',
  'access:\n- name: ci\n  allow:\n    hosts:\n      - .example.com\n      - "a b"\n    ports: [ 443,\n      80, # more\n      8080, ]\n- { default: deny }\n',
  '- - a\n  - b\n-\n  k: v\n- k: v\n  l: {a: 1, "b":2, \'c\': [x, y,]}\n',
  'a: 1.5e3\nb: -5\nc: ~\nd: null\ne:\nf: True\ng: .5\nh: 1_000\ni: 0.0.0.0/0\nj: a#b\nk: a:b\n',
  'a: \'it\'\'s\'\r\nb: "x\\ny\\u00e4\\\\"\r\n"c d": é\r\n',
  '{ "a": [1, {"b": []}], "c": {} }\n',
  'a:\n  [\n    { b: 1 },\n    c,\n  ]\nd:\n  { e: f }\n',
];
const ODD: readonly string[] = [
  'a: &x 1\nb: *x\n',
  'a: |\n  text\n',
  'a: >-\n  text\n',
  'a: one\n  two\n',
  'a: "one\n  two"\n',
  'a: !!str 1\n',
  'a: { <<: { b: 1 } }\n',
  'a: 0x10\n',
  '? a\n: b\n',
  '%YAML 1.2\n---\na: 1\n',
  'a: 1\n---\nb: 1\n',
  '__proto__: 1\n',
  'a: "\\x41"\n',
];
const MISTAKES: readonly string[] = [
  'a: 1\na: 2\n',
  'log:\n\tformat: json\n',
  'log: { format: json\nname: x\n',
  'a: b: c\n',
  'a: [1, 2\n',
  'a: "b" c\n',
  'a:\n  b: 1\n c: 2\n',
  'a: 1\n  b: 2\n',
  'a: @b\n',
  `a: ${'['.repeat(100)}${']'.repeat(100)}\n`,
];

test('what configurations mostly use is read in the short way, and means the same', () => {
  for (const text of PLAIN) assert.deepEqual(plainYaml(text), parsed(text), text);
});

test('anything else, and every mistake, is left to the parser of YAML', () => {
  for (const text of [...ODD, ...MISTAKES]) assert.equal(plainYaml(text), undefined, text);
});

test('what the plain reader accepts means the same to the YAML parser, which finds no mistake in it', () => {
  const all = [...PLAIN, ...ODD, ...MISTAKES];
  const bits = [' ', '\n', ': ', ':', '- ', '-', '#', ' #', ',', '[', ']', '{', '}', '"', "'", 'a', '1', '.', '~'];
  bits.push(
    'null',
    '<<: ',
    '&',
    '*',
    '!',
    '|',
    '>',
    '?',
    '\\',
    '\n  ',
    '\n- ',
    '\n# c\n',
    '%',
    '@',
    '---\n',
    '\t',
    '::',
  );
  const change = fc.record({ at: fc.nat(), cut: fc.nat(4), put: fc.constantFrom('', '', ...bits) });
  let read = 0;
  fc.assert(
    fc.property(fc.constantFrom(...all), fc.array(change, { maxLength: 4 }), (base, changes) => {
      const text = changes.reduce((now, { at, cut, put }) => {
        const from = at % (now.length + 1);
        return now.slice(0, from) + put + now.slice(from + cut);
      }, base);
      const plain = plainYaml(text);
      if (plain === undefined) return;
      read++;
      assert.deepEqual(plain, parsed(text));
    }),
    { numRuns: process.env.VIADUCT_LONG === '1' ? 100_000 : 3_000 },
  );
  assert.ok(read > 300, `only ${read} texts were read`);
});

test('JSON is read as JSON, and a key that is written twice is left to the parser of YAML', () => {
  const text = '\n{ "a": [{ "x": 1 }, { "x": "{\\"x\\": \\"x\\": }" }], "b": { "a": "c\\\\" }, "": null }\n';
  assert.deepEqual(plainJson(text), { values: JSON.parse(text) });
  for (const twice of ['{"a":1,"a":2}', '{"a":{"b":1,"c":"}","b" :2}}', '{"a":1,"\\u0061":2}']) {
    assert.equal(plainJson(twice), undefined, twice);
    assert.equal(parsed(twice), undefined, twice);
  }
  for (const other of ['', '{', '[1]', '{ a: 1 }', 'a: 1', '{"a":1} x'])
    assert.equal(plainJson(other), undefined, other);
});
