import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leavesNothing } from '../../../test/support/no-leaks.ts';
import { systemClock } from '../../util/clock.ts';
import { cachingLast, scriptInspector } from './inspect.ts';

const inspectScript = scriptInspector(systemClock);
const inspect = (text: string) => inspectScript(text, new AbortController().signal);

test('accepts every way of defining the function', async () => {
  for (const script of [
    'function FindProxyForURL(url, host) { return "DIRECT"; }',
    'var FindProxyForURL = function () { return "DIRECT" } // the end',
    'const FindProxyForURL = () => globalThis?.x ?? "DIRECT"',
    '"use strict"; let FindProxyForURL; FindProxyForURL = (u, h) => `DIRECT`',
    'this.FindProxyForURLEx = function (u, h) { return "DIRECT" }',
    '<!-- as old pages had it\nfunction FindProxyForURL() { return "DIRECT" }',
  ]) {
    assert.equal(await inspect(script), undefined, script);
  }
});

test('rejects a script that was cut anywhere before its last brace', async () => {
  const whole = 'function FindProxyForURL(url, host) {\n  if (/[{]/.test(host)) return "PROXY a:1";\n  return `D`;\n}';
  for (let cut = whole.indexOf('(url'); cut < whole.length; cut++) {
    assert.match((await inspect(whole.slice(0, cut))) ?? '', /^cannot be parsed: .* in line [1-4]$/, `cut at ${cut}`);
  }
});

test('accepts the name in code or in a string, with and without comments', async () => {
  for (const script of [
    "this['FindProxyForURL'] = function () { return 'DIRECT' }",
    'globalThis[`FindProxyForURL`] = () => "DIRECT"',
    '/* FindProxyForURL */ function FindProxyForURL() { return "DIRECT" } // FindProxyForURL',
    'var a = "/*"; function FindProxyForURL() { return "*/" }',
    'var a = /[/*]/; function FindProxyForURL() { return `//` }',
  ]) {
    assert.equal(await inspect(script), undefined, script);
  }
});

test('a comment that mentions the function does not make a PAC', async () => {
  for (const text of [
    '// FindProxyForURL',
    '/* function FindProxyForURL(url, host) { return "DIRECT" } */ var login = true;',
    'var a = "x"; // FindProxyForURL and FindProxyForURLEx\n/*\n * FindProxyForURL\n */',
    '<!-- FindProxyForURL\nvar a = 1;',
    'var a = "/*"; // FindProxyForURL */',
    '//FindProxyForURL\u2028var a = 1',
    'function notFindProxyForURL() { /* FindProxyForURL */ }',
  ]) {
    assert.equal(await inspect(text), 'does not define FindProxyForURL: only a comment mentions it', text);
  }
  assert.equal(await inspect('function notFindProxyForURL() {}'), 'does not define FindProxyForURL');
  assert.equal(await inspect('var FindProxyForURLs = 1, $FindProxyForURL'), 'does not define FindProxyForURL');
});

test('names what else a text is', async () => {
  assert.equal(
    await inspect('\n<!DOCTYPE html><script>FindProxyForURL</script>'),
    'is a web page, not a script; a network that requires a login answers like this',
  );
  assert.equal(await inspect('var a = 1;'), 'does not define FindProxyForURL');
  assert.equal(await inspect(''), 'does not define FindProxyForURL');
});

test(
  'a script that was made slow to parse does not block the event loop, and is given up after a second',
  leavesNothing(async () => {
    const nested = `${'(a='.repeat(900)}1${')=>1'.repeat(900)};\n`;
    const text = `${nested.repeat(45)}FindProxyForURL`;
    let turns = 0;
    const counting = setInterval(() => turns++, 5);
    const fromMs = performance.now();
    const fault = await inspect(text);
    clearInterval(counting);
    // How long it takes depends on V8: the wait ends after a second, and the event loop goes on meanwhile.
    const ms = performance.now() - fromMs;
    assert.ok(fault === undefined ? ms < 1_500 : fault === 'cannot be parsed: it takes too long', `${fault}`);
    assert.ok(turns >= ms / 50, `${turns} turns in ${ms} ms`);
  }),
);

test(
  'stops when its signal aborts',
  leavesNothing(async () => {
    const stop = new AbortController();
    const reason = new Error('over');
    const inspecting = inspectScript('FindProxyForURL', stop.signal);
    stop.abort(reason);
    await assert.rejects(inspecting, (error) => error === reason);
    await assert.rejects(inspectScript('FindProxyForURL', stop.signal), (error) => error === reason);
  }),
);

test('inspects the same text once', async () => {
  const inspected: string[] = [];
  const inspect = cachingLast(async (text) => {
    inspected.push(text);
    return text === 'bad' ? 'is bad' : undefined;
  });
  const { signal } = new AbortController();
  const results = [];
  for (const text of ['bad', 'bad', 'good', 'good', 'bad']) results.push(await inspect(text, signal));
  assert.deepEqual(results, ['is bad', 'is bad', undefined, undefined, 'is bad']);
  assert.deepEqual(inspected, ['bad', 'good', 'bad']);
});
