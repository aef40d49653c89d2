import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { viaductEnds } from '../support/cli.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { temporaryFolder } from '../support/temporary.ts';

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());

function fileOf(name: string, text: string): string {
  const path = join(folder.path, name);
  writeFileSync(path, text);
  return path;
}

const OFFICE = fileOf(
  'office.pac',
  `function FindProxyForURL(url, host) {
  if (isInNet(host, "10.0.0.0", "255.0.0.0")) return "DIRECT";
  if (weekdayRange("SAT", "SUN")) return "PROXY weekend:1; DIRECT";
  return "PROXY " + myIpAddress() + ":" + url.length;
}
`,
);

interface ScriptResult {
  readonly url: string;
  readonly answer: string | null;
  readonly error: string | null;
  readonly calls: readonly {
    readonly helper: string;
    readonly args: unknown[];
    readonly result: unknown;
    ms: number;
  }[];
}

/** `--json`, each call without its time. */
async function resultsOf(words: readonly string[]): Promise<{ code: number | null; results: readonly unknown[] }> {
  const { code, out, err } = await viaductEnds(['pac', ...words, '--json']);
  assert.equal(err, '');
  const list: ScriptResult[] = JSON.parse(out);
  const brief = list.map(({ calls, ...rest }) => ({
    ...rest,
    calls: calls.map(({ helper, args, result, ms }) => {
      assert.equal(typeof ms, 'number');
      return [helper, args, result];
    }),
  }));
  return { code, results: brief };
}

test('pac prints for each URL what the script answers, and shows each call that it makes', async () => {
  const pins = ['--dns', 'in.test=10.1.2.3|2001:db8::1', '--now', '2024-09-07T12:00:00Z', '--tz', 'UTC'];
  const { code, out, err } = await viaductEnds([
    'pac',
    OFFICE,
    'http://in.test/x',
    'https://u:p@out.test/secret',
    ...pins,
  ]);
  assert.deepEqual([code, err], [0, '']);
  const lines = out.split('\n').map((line) => line.replace(/ +/g, ' ').replace(/[\d.]+ ms$/, 'N ms'));
  assert.deepEqual(lines, [
    'FindProxyForURL("http://in.test/x", "in.test")',
    ' isInNet("in.test", "10.0.0.0", "255.0.0.0") = true N ms',
    ' dnsResolve("in.test") = "10.1.2.3" N ms',
    '=> "DIRECT"',
    ' first direct',
    'FindProxyForURL("https://out.test/", "out.test")',
    ' isInNet("out.test", "10.0.0.0", "255.0.0.0") = false N ms',
    ' dnsResolve("out.test") = null N ms',
    ' weekdayRange("SAT", "SUN") = true N ms',
    '=> "PROXY weekend:1; DIRECT"',
    ' first http://weekend:1',
    ' then direct',
    '',
  ]);
});

test('pac --json is one array, and a world can be pinned by flags and by a file alike', async () => {
  const answered = [
    {
      url: 'https://out.test/secret',
      answer: 'PROXY 192.0.2.7:17',
      error: null,
      calls: [
        ['isInNet', ['out.test', '10.0.0.0', '255.0.0.0'], false],
        ['dnsResolve', ['out.test'], '192.0.2.1'],
        ['weekdayRange', ['SAT', 'SUN'], false],
        ['myIpAddress', [], '192.0.2.7'],
      ],
    },
  ];
  const url = 'https://out.test/secret';
  const flags = ['--now', '2024-09-09T12:00:00Z', '--tz', 'UTC', '--my-ip', '192.0.2.7', '--dns', '*=192.0.2.1'];
  assert.deepEqual(await resultsOf([OFFICE, url, ...flags]), { code: 0, results: answered });
  const world = { now: '2024-09-09T12:00:00Z', tz: 'UTC', myIp: '192.0.2.7', dns: { 'OUT.test': ['192.0.2.1'] } };
  const file = fileOf('world.json', JSON.stringify(world));
  assert.deepEqual(await resultsOf([OFFICE, url, '--world', file]), { code: 0, results: answered });
});

test('a world may name another host than the URL, and what it does not name does not exist', async () => {
  const file = fileOf('empty.json', JSON.stringify({ host: '$%$', myIp: null }));
  const script =
    'data:,function FindProxyForURL(u, h) { return h + dnsResolve("a.test") + myIpAddress() + myIpAddressEx() }';
  const { results: list } = await resultsOf([script, 'http://x/', '--world', file]);
  assert.deepEqual(list, [
    {
      url: 'http://x/',
      answer: '$%$null127.0.0.1',
      error: null,
      calls: [
        ['dnsResolve', ['a.test'], null],
        ['myIpAddress', [], '127.0.0.1'],
        ['myIpAddressEx', [], ''],
      ],
    },
  ]);
});

test('globals of a script last from one URL to the next', async () => {
  const script = 'data:,var count = 0; function FindProxyForURL() { return "PROXY n" + count++ }';
  const { results: list } = await resultsOf([script, 'http://a/', 'http://a/', 'http://a/']);
  assert.deepEqual(
    list.map((one) => (one !== null && typeof one === 'object' && 'answer' in one ? one.answer : undefined)),
    ['PROXY n0', 'PROXY n1', 'PROXY n2'],
  );
});

test('a script that fails is exit 1, with what is wrong and where', async () => {
  const path = fileOf('broken.pac', 'function FindProxyForURL(url, host) {\n  return nowhere;\n}');
  assert.deepEqual(await resultsOf([path, 'http://a/']), {
    code: 1,
    results: [{ url: 'http://a/', answer: null, error: 'ReferenceError: nowhere is not defined (line 2)', calls: [] }],
  });
  const { code, out } = await viaductEnds(['pac', 'data:,var x =', 'http://a/']);
  assert.equal(code, 1);
  assert.match(
    out,
    /^FindProxyForURL\("http:\/\/a\/", "a"\)\n=> no result: the script cannot be loaded: SyntaxError: /,
  );
});

test('a script that never ends is given up', async () => {
  const { code, results: list } = await resultsOf([
    'data:,function FindProxyForURL() { while (true) {} }',
    'http://a/',
  ]);
  assert.equal(code, 1);
  assert.deepEqual(list, [
    { url: 'http://a/', answer: null, error: 'the script did not answer within 1000 ms', calls: [] },
  ]);
});

test('a script is fetched from a server, and read as its bytes say', async () => {
  const text = 'function FindProxyForURL() { return "PROXY é".length === 7 ? "DIRECT" : "PROXY a:1" }';
  await using origin = await RawOrigin.listen(answering(() => ok(text)));
  const { code, results: list } = await resultsOf([`http://${origin.authority}/proxy.pac`, 'http://a/']);
  assert.deepEqual([code, list], [0, [{ url: 'http://a/', answer: 'DIRECT', error: null, calls: [] }]]);
});

test('what cannot be meant is exit 2, and what cannot be read exit 1, each in one line', async () => {
  const wrong: readonly (readonly [words: readonly string[], code: number, says: RegExp])[] = [
    [[OFFICE], 2, /^viaduct: pac needs URL/],
    [[OFFICE, 'no host'], 2, /^viaduct: "no host" is not a valid URL/],
    [[OFFICE, '/path'], 2, /^viaduct: "\/path" is not a valid URL/],
    [['-', 'http://a/'], 2, /^viaduct: "-" is neither a file/],
    [['ftp://a/proxy.pac', 'http://a/'], 2, /^viaduct: "ftp:\/\/a\/proxy\.pac" is neither a file/],
    [[OFFICE, 'http://a/', '--now', 'noon'], 2, /^viaduct: "noon" is not a valid time/],
    [[OFFICE, 'http://a/', '--tz', 'Mars/Base'], 2, /^viaduct: "Mars\/Base" is not a valid time zone/],
    [[OFFICE, 'http://a/', '--dns', 'name'], 2, /^viaduct: --dns takes NAME=IP\|IP, not "name"/],
    [[OFFICE, 'http://a/', '--world', fileOf('list.json', '[]')], 2, /^viaduct: --world .* holds no JSON object/],
    [[join(folder.path, 'missing.pac'), 'http://a/'], 1, /^viaduct: .*missing\.pac: /],
  ];
  for (const [words, code, says] of wrong) {
    const ended = await viaductEnds(['pac', ...words]);
    assert.deepEqual([ended.code, ended.out], [code, ''], words.join(' '));
    assert.match(ended.err, says);
    assert.match(ended.err, /^[^\n]*\n$/);
  }
});

test('a URL may be typed without its scheme, as for explain and why', async () => {
  const { code, out } = await viaductEnds([
    'pac',
    OFFICE,
    'out.test',
    'out.test:8080/x',
    '--dns',
    'a=192.0.2.1',
    '--json',
  ]);
  assert.equal(code, 0);
  const results: { url: string; answer: string }[] = JSON.parse(out);
  assert.deepEqual(
    results.map(({ url }) => url),
    ['out.test', 'out.test:8080/x'],
  );
  const { out: lines } = await viaductEnds(['pac', OFFICE, 'out.test', '--dns', 'a=192.0.2.1']);
  assert.match(lines, /^FindProxyForURL\("https:\/\/out\.test\/", "out\.test"\)\n/);
});

test('pac --quiet prints the answers alone, a line for each URL, and prints on standard error what failed', async () => {
  const path = fileOf(
    'quiet.pac',
    'function FindProxyForURL(u, h) { if (h === "bad.test") throw h; return "PROXY " + h + ":1"; }',
  );
  for (const flag of ['--quiet', '-q']) {
    const { code, out, err } = await viaductEnds(['pac', flag, path, 'a.test', 'http://bad.test/', 'b.test']);
    assert.equal(out, 'PROXY a.test:1\n\nPROXY b.test:1\n');
    assert.match(err, /^viaduct: http:\/\/bad\.test\/: [^\n]+\n$/);
    assert.equal(code, 1);
  }
});
