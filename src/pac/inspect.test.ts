import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leavesNothing } from '../../test/support/no-leaks.ts';
import { inspectScript, rememberingLast } from './inspect.ts';

const inspect = (text: string) => inspectScript(text, new AbortController().signal);

test('takes every way of defining the function', async () => {
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

test('takes nothing that was cut anywhere before its last brace', async () => {
  const whole = 'function FindProxyForURL(url, host) {\n  if (/[{]/.test(host)) return "PROXY a:1";\n  return `D`;\n}';
  for (let cut = whole.indexOf('(url'); cut < whole.length; cut++) {
    assert.match((await inspect(whole.slice(0, cut))) ?? '', /^cannot be parsed: .* in line [1-4]$/, `cut at ${cut}`);
  }
});

test('says in plain words what something else is', async () => {
  assert.equal(
    await inspect('\n<!DOCTYPE html><script>FindProxyForURL</script>'),
    'is a web page and no script; a network that wants a login answers like this',
  );
  assert.equal(await inspect('var a = 1;'), 'does not define FindProxyForURL');
  assert.equal(await inspect(''), 'does not define FindProxyForURL');
});

test(
  'a script that is made to be slow to parse holds up nobody',
  leavesNothing(async () => {
    const nested = `${'(a='.repeat(900)}1${')=>1'.repeat(900)};\n`;
    const text = `${nested.repeat(45)}FindProxyForURL`;
    let turns = 0;
    const counting = setInterval(() => turns++, 5);
    const fromMs = performance.now();
    const wrong = await inspect(text);
    clearInterval(counting);
    // How long it takes is a matter of V8; nobody waits for more than a second, and the loop never does.
    const ms = performance.now() - fromMs;
    assert.ok(wrong === undefined ? ms < 1_500 : wrong === 'cannot be parsed: it takes too long', `${wrong}`);
    assert.ok(turns >= ms / 50, `${turns} turns in ${ms} ms`);
  }),
);

test(
  'stops when nobody waits any more',
  leavesNothing(async () => {
    const stop = new AbortController();
    const reason = new Error('over');
    const inspecting = inspectScript('FindProxyForURL', stop.signal);
    stop.abort(reason);
    await assert.rejects(inspecting, (error) => error === reason);
    await assert.rejects(inspectScript('FindProxyForURL', stop.signal), (error) => error === reason);
  }),
);

test('asks once for the same text', async () => {
  const asked: string[] = [];
  const inspect = rememberingLast(async (text) => {
    asked.push(text);
    return text === 'bad' ? 'is bad' : undefined;
  });
  const { signal } = new AbortController();
  const verdicts = [];
  for (const text of ['bad', 'bad', 'good', 'good', 'bad']) verdicts.push(await inspect(text, signal));
  assert.deepEqual(verdicts, ['is bad', 'is bad', undefined, undefined, 'is bad']);
  assert.deepEqual(asked, ['bad', 'good', 'bad']);
});
