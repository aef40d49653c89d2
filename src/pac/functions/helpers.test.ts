import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { systemClock } from '../../util/clock.ts';
import { createPacEngine } from '../engine/engine.ts';

/** The browsers' own tests of the helpers are in test/conformance/pac.json; these are cases that they do not cover. */
const NOW_MS = Date.parse('2024-06-01T12:00:00Z');
const engine = createPacEngine({
  clock: { ...systemClock, wallMs: () => NOW_MS },
  zone: 'Europe/Berlin',
  deadlineMs: 20_000,
  resolve: () => Promise.reject(new Error('there is no such name')),
  localAddresses: () => Promise.resolve({ first: undefined, all: [] }),
});
after(() => engine[Symbol.asyncDispose]());

const ask = (text: string, host: string, trace: 'calls' | 'lookups' = 'lookups') =>
  engine.evaluate(
    { text, source: 'test', namedBy: 'pac', readMs: 0 },
    { url: `https://${host}/`, host, signal: new AbortController().signal, trace },
  );

/** The value of an expression inside a script, in JSON. */
async function inScript(expression: string): Promise<unknown> {
  const answer = await ask(`function FindProxyForURL() { return JSON.stringify(${expression}); }`, 'a.test');
  assert.ok(answer.ok, answer.ok ? '' : answer.failure);
  return JSON.parse(answer.result);
}

const instants: readonly (readonly [expression: string, instant: string, why: string])[] = [
  ['new Date(2024, 2, 31, 1, 30)', '2024-03-31T00:30:00.000Z', 'half an hour before the change'],
  ['new Date(2024, 2, 31, 2, 30)', '2024-03-31T01:30:00.000Z', 'a time that is skipped counts on from before'],
  ['new Date(2024, 2, 31, 3, 30)', '2024-03-31T01:30:00.000Z', 'half an hour after it'],
  ['new Date(2024, 9, 27, 1, 30)', '2024-10-26T23:30:00.000Z', 'before the hour that comes twice'],
  ['new Date(2024, 9, 27, 2, 30)', '2024-10-27T00:30:00.000Z', 'of two such times the first'],
  ['new Date(2024, 9, 27, 3, 30)', '2024-10-27T02:30:00.000Z', 'after it'],
  ['new Date(99, 0)', '1998-12-31T23:00:00.000Z', 'two digits are a year of the last century'],
  ['new Date(0)', '1970-01-01T00:00:00.000Z', 'one number is an instant'],
  ['new Date()', '2024-06-01T12:00:00.000Z', 'the pinned one'],
  ['new Date(new Date(2024, 2, 30, 12).setDate(31))', '2024-03-31T10:00:00.000Z', 'noon of the next day'],
  ['new Date(new Date(NaN).setFullYear(2024, 5, 1))', '2024-05-31T22:00:00.000Z', 'an invalid date gets a year'],
];

test('Date is right around a clock change, unlike in plain QuickJS', async () => {
  for (const [expression, instant, why] of instants) {
    assert.equal(await inScript(`${expression}.toISOString()`), instant, `${expression}: ${why}`);
  }
});

test('a date whose field is not a number is invalid, unlike in plain QuickJS', async () => {
  for (const call of ['setHours(NaN)', 'setHours()', 'setMinutes("x")', 'setDate(undefined)', 'setUTCHours(1, NaN)']) {
    assert.equal(await inScript(`String(new Date().${call})`), 'NaN', call);
    assert.equal(
      await inScript(`(function (date) { date.${call}; return String(date.getTime()); })(new Date())`),
      'NaN',
    );
  }
  assert.equal(await inScript('new Date(new Date(0).setDate(1, "x")).getTime()'), 0, 'a day takes one number');
  // It is 14:00. A comparison with an invalid date is false, so the other end of the range decides.
  assert.deepEqual(await inScript('[timeRange("x", 0, 15, 0), timeRange("x", 0, 13, 0), timeRange(9, 0, "x", 0)]'), [
    true,
    false,
    true,
  ]);
});

test('time ranges parse numbers and throw as in browsers', async () => {
  assert.deepEqual(await inScript('[dateRange("0x1"), dateRange("01"), dateRange("1abc"), dateRange("0x10")]'), [
    true,
    true,
    true,
    false,
  ]);
  const thrown = '(function () { try { return timeRange(1, 2, 3); } catch (error) { return error; } })()';
  assert.equal(await inScript(thrown), 'timeRange: bad number of arguments');
});

test('the replaced Date cannot be distinguished from the original by a script', async () => {
  const facts = `[typeof Date(), new Date() instanceof Date, new Date().constructor === Date, Date.length, Date.name,
    Date.UTC(2024, 0), Date.parse('2024-01-01T00:00:00Z'), Date.now(), isNaN(new Date(NaN).setHours(1)),
    Object.prototype.toString.call(new Date()), new Date().getTimezoneOffset()]`;
  const year = Date.parse('2024-01-01T00:00:00Z');
  assert.deepEqual(await inScript(facts), [
    'string',
    true,
    true,
    7,
    'Date',
    year,
    year,
    NOW_MS,
    true,
    '[object Date]',
    -120,
  ]);
});

test('a pattern with many stars is matched quickly', async () => {
  const stars = `shExpMatch('${'a'.repeat(2000)}', '${'*a'.repeat(50)}*b')`;
  const started = performance.now();
  assert.equal(await inScript(stars), false);
  assert.ok(performance.now() - started < 5000);
});

test('patterns match like the regular expressions that browsers build from them', async () => {
  const texts = ['', 'a', 'ab', 'a.b', 'aXb', 'a\nb', 'aab', 'b', 'abab', 'http://a/b?c'];
  const patterns = [
    '',
    '*',
    '?',
    'a*',
    '*b',
    'a*b',
    'a.b',
    'a?b',
    '*a*b*',
    'a*a*b',
    '**',
    '?*?',
    '*://*/*',
    '(a|b)',
    'a+b',
    '[ab]',
  ];
  const browsers = (text: string, pattern: string): boolean =>
    new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.')}$`).test(text);
  const expected = texts.map((text) => patterns.map((pattern) => browsers(text, pattern)));
  const all = `${JSON.stringify(texts)}.map(function (text) {
    return ${JSON.stringify(patterns)}.map(function (pattern) { return shExpMatch(text, pattern); }); })`;
  assert.deepEqual(await inScript(all), expected);
});

test('calls of helpers are recorded with arguments and results of any type', async () => {
  const text = `function FindProxyForURL(url, host) {
    alert({}); dnsDomainIs(host, '.test'); dnsResolve([1]); dateRange(1, 'JAN', 'GMT');
    try { shExpMatch(host, undefined); } catch (error) {}
    return 'DIRECT'; }`;
  const { calls } = await ask(text, 'a.test', 'calls');
  assert.deepEqual(
    calls.map(({ helper, args, result }) => [helper, args, result]),
    [
      ['alert', ['[object Object]'], null],
      ['dnsDomainIs', ['a.test', '.test'], true],
      ['dnsResolve', ['[object]'], null],
      ['dateRange', [1, 'JAN', 'GMT'], true],
      ['shExpMatch', ['a.test'], { threw: 'TypeError: shExpMatch: the pattern is not a string' }],
    ],
  );
  const lookups = await ask(text, 'a.test', 'lookups');
  assert.deepEqual(
    lookups.calls.map(({ helper }) => helper),
    ['alert', 'dnsResolve'],
  );
});

test('a script reaches neither globals of the host nor of Node', async () => {
  const names = ['process', 'require', 'performance', 'fetch', 'WebAssembly', 'console', 'setTimeout', 'lent', 'tools'];
  assert.deepEqual(
    await inScript(`${JSON.stringify(names)}.filter(function (name) { return name in globalThis; })`),
    [],
  );
  assert.equal(await inScript(`this.constructor.constructor('return typeof process')()`), 'undefined');
});

/** So many lines of each of the usual kinds, of which there are four; an evaluation runs all of them. */
function longScript(each: number): string {
  const department = (at: number) =>
    `  if (dnsDomainIs(host, ".dept${at}.corp.test")) return "PROXY p${at}.corp.test:80";`;
  const site = (at: number) =>
    `  if (shExpMatch(host, "*.site${at}.test") || shExpMatch(url, "*://app${at}.*/x/*")) return "PROXY q${at}.corp.test:80";`;
  const block = (at: number) =>
    `  if (/^\\d/.test(host) && isInNet(host, "10.${at}.0.0", "255.255.0.0")) return "DIRECT";`;
  const lines = [department, department, site, block].flatMap((line, kind) =>
    Array.from({ length: each }, (_, at) => line(kind * each + at)),
  );
  return ['function FindProxyForURL(url, host) {', ...lines, '  return "PROXY proxy.corp.test:80; DIRECT";', '}'].join(
    '\n',
  );
}

test('an evaluation of a file of 200 lines costs a few times what one of 20 lines does', async () => {
  const evaluate = async (text: string, count: number) => {
    for (let at = 0; at < count; at++) {
      const answer = await ask(text, `www.host${at}.test`);
      assert.ok(answer.ok && answer.result === 'PROXY proxy.corp.test:80; DIRECT');
    }
  };
  // Of this process, both of its threads: other processes on this machine do not count.
  const cpuOf = async (text: string) => {
    await evaluate(text, 100);
    const before = process.cpuUsage();
    await evaluate(text, 400);
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  const ratio = (await cpuOf(longScript(48))) / (await cpuOf(longScript(4)));
  // It is 3: most of what an evaluation costs is not its lines. A file that is compiled for each evaluation makes it the 12 of its length.
  assert.ok(ratio < 8, `${ratio} times the processor time for 12 times the lines`);
});
