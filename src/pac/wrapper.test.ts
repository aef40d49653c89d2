import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import type { PacState } from './script.ts';
import { wrappedPac } from './wrapper.ts';

const US = { host: 'localhost', port: 3128 };
const scripted = (text: string): PacState => ({
  at: 'script',
  script: { text, source: 'a test', namedBy: 'pac', readMs: 0 },
  trouble: undefined,
});

/** What a browser is told: it asks the global object for the function, and calls it each time anew. */
function asked(text: string, calls = 1, name = 'FindProxyForURL'): unknown {
  const world: Record<string, unknown> = { shExpMatch: () => true };
  runInNewContext(wrappedPac(scripted(text), US), world);
  let answer: unknown;
  for (let call = 0; call < calls; call++) answer = runInNewContext(`this[${JSON.stringify(name)}]`, world)('u', 'h');
  return answer;
}

test('puts this proxy in the place of every other one, once, and keeps DIRECT where it was', () => {
  const through = (answer: string) => asked(`function FindProxyForURL() { return ${JSON.stringify(answer)} }`);
  assert.equal(through('PROXY a:1; PROXY b:2'), 'PROXY localhost:3128');
  assert.equal(through('PROXY a:1; DIRECT'), 'PROXY localhost:3128; DIRECT');
  assert.equal(through(' direct ;SOCKS5 a:1;HTTPS b:2;DIRECT; '), 'DIRECT; PROXY localhost:3128');
  assert.equal(through('DIRECT'), 'DIRECT');
  assert.equal(through(''), '');
});

test('wraps however the function is declared', () => {
  for (const script of [
    'function FindProxyForURL(u, h) { return "PROXY a:1" }',
    'var FindProxyForURL = function () { return "PROXY a:1" } // the end',
    'const FindProxyForURL = () => "PROXY a:1"',
    'let FindProxyForURL = () => "PROXY a:1"',
    'FindProxyForURL = () => "PROXY a:1"',
    'this.FindProxyForURL = () => "PROXY a:1"',
    '"use strict"\nfunction FindProxyForURL() { return this === undefined ? "DIRECT" : "PROXY a:1" }',
    'function FindProxyForURLEx() { return "PROXY a:1" }',
    'function FindProxyForURLEx(u, h) { return FindProxyForURL(u, h) } function FindProxyForURL() { return "SOCKS a:1" }',
    'function FindProxyForURL() { return shExpMatch() ? "PROXY a:1" : "DIRECT" } function shExpMatch() { return true }',
    'function FindProxyForURL() { return "PROXY a:1" } /* the end */ <!-- of it',
    'function FindProxyForURL() { return "PROXY a:1" }\n--> the end',
  ]) {
    assert.equal(asked(script), 'PROXY localhost:3128', script);
  }
  const both = 'function FindProxyForURLEx() { return "PROXY a:1" } function FindProxyForURL() { return "DIRECT" }';
  assert.deepEqual([asked(both), asked(both, 1, 'FindProxyForURLEx')], ['DIRECT', 'PROXY localhost:3128']);
});

test('the script still sees its own answers, and what it throws comes out', () => {
  const looks = `function FindProxyForURL(u, h) {
    if (h === 'inner') return 'PROXY a:1';
    return FindProxyForURL(u, 'inner') === 'PROXY a:1' ? 'DIRECT' : 'PROXY wrong:1';
  }`;
  assert.equal(asked(looks), 'DIRECT');
  assert.throws(() => asked('function FindProxyForURL() { throw new Error("its own") }'), /its own/);
  assert.equal(asked('function FindProxyForURL() { return null }'), null);
});

test('a script that puts another function in its place while it runs stays wrapped', () => {
  const once = '() => { FindProxyForURL = () => "PROXY b:2"; return "PROXY a:1" }';
  for (const declared of ['var FindProxyForURL = ', 'let FindProxyForURL = ', 'FindProxyForURL = ']) {
    assert.equal(asked(declared + once, 3), 'PROXY localhost:3128', declared);
  }
  assert.equal(
    asked('let n = 0; let FindProxyForURL = () => { FindProxyForURL = () => "DIRECT"; return "X y" }', 2),
    'DIRECT',
  );
});

test('neither the script nor the host can write into the wrapper', () => {
  assert.equal(asked(`function FindProxyForURL() { return "$& $' HERE"; }`), 'PROXY localhost:3128');
  const text = wrappedPac({ at: 'none' }, { host: 'a"; alert(1); "', port: 1 });
  assert.equal(runInNewContext(`${text}; FindProxyForURL()`), 'PROXY a"; alert(1); ":1');
});

test('without a script everything goes through this proxy', () => {
  const states: PacState[] = [
    { at: 'none' },
    { at: 'unreachable', source: 's', trouble: 't' },
    { at: 'system-proxies', proxies: { source: 's', http: undefined, https: undefined, noProxy: [] } },
  ];
  for (const state of states) {
    assert.equal(
      runInNewContext(`${wrappedPac(state, { host: '::1', port: 8080 })}; FindProxyForURL()`),
      'PROXY [::1]:8080',
    );
  }
});
