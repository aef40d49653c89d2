import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { systemClock } from '../util/clock.ts';
import { createPacEngine } from './engine/engine.ts';
import type { PacState } from './script.ts';
import { wrappedPac } from './wrapper.ts';

const US = { host: 'localhost', port: 3128 };
const scripted = (text: string): PacState => ({
  at: 'script',
  script: { text, source: 'a test', namedBy: 'pac', readMs: 0 },
  failure: undefined,
});

/** The result for a browser, which looks the function up in the global object for every call. */
function resultOf(text: string, calls = 1, name = 'FindProxyForURL'): unknown {
  const world: Record<string, unknown> = { shExpMatch: () => true };
  runInNewContext(wrappedPac(scripted(text), US), world);
  let result: unknown;
  for (let call = 0; call < calls; call++) result = runInNewContext(`this[${JSON.stringify(name)}]`, world)('u', 'h');
  return result;
}

test('replaces every proxy by this one, once, and keeps DIRECT in its place', () => {
  const through = (answer: string) => resultOf(`function FindProxyForURL() { return ${JSON.stringify(answer)} }`);
  assert.equal(through('PROXY a:1; PROXY b:2'), 'PROXY localhost:3128');
  assert.equal(through('PROXY a:1; DIRECT'), 'PROXY localhost:3128; DIRECT');
  assert.equal(through(' direct ;SOCKS5 a:1;HTTPS b:2;DIRECT; '), 'DIRECT; PROXY localhost:3128');
  assert.equal(through('DIRECT'), 'DIRECT');
  assert.equal(through(''), '');
});

test('wraps the function however it is declared', () => {
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
    '--> the beginning\nfunction FindProxyForURL() { return "PROXY a:1" }',
    'var us = "x", load, through, own; function wrapped() {} function FindProxyForURL() { return "PROXY a:1" }',
    'this.answer = "PROXY a:1"; function FindProxyForURL() { return answer }',
    'var FindProxyForURL = (function (set) { return function (u, h) { return set[h] } })({ h: "PROXY a:1" })',
  ]) {
    assert.equal(resultOf(script), 'PROXY localhost:3128', script);
  }
  const both = 'function FindProxyForURLEx() { return "PROXY a:1" } function FindProxyForURL() { return "DIRECT" }';
  assert.deepEqual([resultOf(both), resultOf(both, 1, 'FindProxyForURLEx')], ['DIRECT', 'PROXY localhost:3128']);
});

test('the script gets its own results, and its exceptions are passed on', () => {
  const looks = `function FindProxyForURL(u, h) {
    if (h === 'inner') return 'PROXY a:1';
    return FindProxyForURL(u, 'inner') === 'PROXY a:1' ? 'DIRECT' : 'PROXY wrong:1';
  }`;
  assert.equal(resultOf(looks), 'DIRECT');
  assert.throws(() => resultOf('function FindProxyForURL() { throw new Error("its own") }'), /its own/);
  assert.equal(resultOf('function FindProxyForURL() { return null }'), null);
});

test('a script that replaces its function while it runs stays wrapped', () => {
  const once = '() => { FindProxyForURL = () => "PROXY b:2"; return "PROXY a:1" }';
  for (const declared of ['var ', 'let ', '', 'this.'].map((how) => `${how}FindProxyForURL = `)) {
    assert.equal(resultOf(declared + once, 3), 'PROXY localhost:3128', declared);
  }
  assert.equal(
    resultOf('let n = 0; let FindProxyForURL = () => { FindProxyForURL = () => "DIRECT"; return "X y" }', 2),
    'DIRECT',
  );
});

const RESOLVERS: readonly (readonly [what: string, script: string])[] = [
  [
    'dnsResolve',
    'function FindProxyForURL(u, h) { isInNet(dnsResolve(h), "10.0.0.0", "255.0.0.0"); return "PROXY a:1" }',
  ],
  ['isResolvable', 'const FindProxyForURL = (u, h) => isResolvable(h) ? "PROXY a:1" : "PROXY b:1"'],
  ['myIpAddress', 'this.FindProxyForURL = () => "PROXY " + myIpAddress() + ":1"'],
  ['the Ex helpers', 'function FindProxyForURLEx(u, h) { return "PROXY " + dnsResolveEx(h) + myIpAddressEx() + ":1" }'],
  [
    'a name, in a call of its own function',
    `function FindProxyForURLEx(u, h) { return FindProxyForURL(u, h) }
     function FindProxyForURL(u, h) { return h.slice(0, 2) === "x." ? "SOCKS " + dnsResolve(h) : FindProxyForURL(u, "x." + h) === "SOCKS 192.0.2.1" ? "PROXY a:1" : "DIRECT" }`,
  ],
  [
    'a name, behind another function in its own place',
    `var FindProxyForURL = function (u, h) {
       FindProxyForURL = this.FindProxyForURL = function () { return "PROXY b:1" };
       return "PROXY " + dnsResolve(h);
     }`,
  ],
];
for (const [what, script] of RESOLVERS) {
  test(`a script that is ended when it looks up ${what}, and runs again in the same globals, stays wrapped`, async () => {
    await using engine = createPacEngine({
      clock: systemClock,
      resolve: () => Promise.resolve(['192.0.2.1']),
      localAddresses: () => Promise.resolve({ first: '192.0.2.9', all: ['192.0.2.9'] }),
      deadlineMs: 20_000,
    });
    const read = { text: wrappedPac(scripted(script), US), source: 'a test', namedBy: 'pac', readMs: 0 } as const;
    for (const host of ['one.example', 'two.example', 'one.example']) {
      const { signal } = new AbortController();
      const given = await engine.evaluate(read, { url: `http://${host}/`, host, signal, trace: 'lookups' });
      assert.equal(given.ok ? given.result : given.failure, 'PROXY localhost:3128', host);
    }
  });
}

test('neither the script nor the host can write into the wrapper', () => {
  assert.equal(resultOf(`function FindProxyForURL() { return "$& $' HERE"; }`), 'PROXY localhost:3128');
  const text = wrappedPac({ at: 'none' }, { host: 'a"; alert(1); "', port: 1 });
  assert.equal(runInNewContext(`${text}; FindProxyForURL()`), 'PROXY a"; alert(1); ":1');
});

test('without a script all requests go through this proxy', () => {
  const states: PacState[] = [
    { at: 'none' },
    { at: 'unreachable', source: 's', failure: 't' },
    { at: 'system-proxies', proxies: { source: 's', http: undefined, https: undefined, noProxy: [] } },
  ];
  for (const state of states) {
    assert.equal(
      runInNewContext(`${wrappedPac(state, { host: '::1', port: 8080 })}; FindProxyForURL()`),
      'PROXY [::1]:8080',
    );
  }
});
