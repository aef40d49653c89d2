import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Route } from '../../src/contracts/stages.ts';
import { charsetOf, decodeScript } from '../../src/pac/fetch/charset.ts';
import { scriptUrl } from '../../src/pac/script-url.ts';
import { formatAuthority } from '../../src/protocol/addresses/authority.ts';
import { noProxyMatcher, splitNoProxy } from '../../src/protocol/matching/no-proxy.ts';
import { readPacResult } from '../../src/protocol/routes/pac-result.ts';
import { parseProxyUrl } from '../../src/protocol/routes/proxy-url.ts';
import { type PacCase, readPacCases } from './pac-cases.ts';
import { PacStage } from './pac-world.ts';

/** What Chromium does where the case says what another browser does. */
const AS_CHROMIUM: Readonly<
  Record<string, { readonly expected?: unknown; readonly error?: true; readonly why: string }>
> = {
  'dateRange-019': {
    expected: true,
    why: "30 February is 2 March. Chromium's own test says false, since its Date ignores the day that it is made with",
  },
  'weekdayRange-059': { expected: true, why: 'it is Sunday in Brisbane, and FRI…MON goes around the weekend' },
  'timeRange-029': { expected: true, why: 'the last hour belongs to a range of hours' },
  'timeRange-039': { expected: true, why: 'the last hour belongs to a range of hours' },
  'timeRange-044': { expected: true, why: 'the last minute belongs to a range of minutes' },
  'timeRange-055': { expected: false, why: 'local fields are compared, and GMT is another day there' },
  'dnsDomainIs-012': { expected: false, why: 'names are compared as they are written' },
  'isPlainHostName-026': { expected: true, why: 'a host with a port has no dot and is no address' },
  'isPlainHostName-027': { expected: true, why: 'brackets are no part of an address' },
  'isInNetEx-041': { expected: false, why: 'one address and one block; no lists, no names' },
  'isInNetEx-044': { expected: false, why: 'one address and one block; no lists, no names' },
  'isInNetEx-046': { expected: false, why: 'one address and one block; no lists, no names' },
  'sortIpAddressList-028': {
    expected: '2001:4898:28:3:201:2ff:feea:fc14;fe80::5efe:157.59.139.22;157.59.139.22',
    why: 'by value, so 2001: stands before fe80:',
  },
  'script-052': { expected: 'END-OF-SCRIPT', why: '3ffe:8311:ffff/48 is no block: an address is written whole' },
  'encoding-001': { error: true, why: 'an answer that is not ASCII is an error' },
  'limits-001': { expected: 'PROXY n0:80', why: 'the 20 names of the limit do not exist here either' },
};

/** Cases outside this module, and the test file that covers them. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  'wpad-001': 'where a PAC is looked for: src/pac/discovery',
  'wpad-005': 'where a PAC is looked for: src/pac/discovery',
  'refresh-policy-001': 'when a PAC is fetched again: src/pac/fetch/source.test.ts; it is fetched more often here',
  'refresh-policy-002': 'when a PAC is fetched again: src/pac/fetch/source.test.ts; it is fetched more often here',
  'refresh-policy-004': 'what a script that fails costs: src/pac/router.test.ts',
  'proxy-list-001': 'which proxy is tried next: src/upstream/failover.test.ts',
  'proxy-list-003': 'which proxy is tried next: src/upstream/failover.test.ts',
};

/** Browsers do not call the PAC for loopback; a proxy that was given such a request does: src/pac/router.test.ts. */
const LEFT_OUT_GROUP = 'implicit-bypass';

const cases = readPacCases();
const stage = new PacStage();
after(() => stage[Symbol.asyncDispose]());

/** Compared as JSON, with a word for `undefined`. */
const inWords = (value: unknown): string => JSON.stringify(value === undefined ? { undefined: true } : value);

/** An expression as the answer of a script. */
const asScript = (expr: string): string =>
  `function FindProxyForURL() { var value = (${expr}); return JSON.stringify(value === undefined ? { undefined: true } : value); }`;

async function evaluated(one: PacCase): Promise<void> {
  stage.begin(one);
  const known = AS_CHROMIUM[one.id];
  const text = textOf(one);
  const answer = await stage.evaluate(text, one.url ?? 'http://example.test/', one.host ?? 'example.test');
  if (known?.error ?? (known === undefined && 'error' in one)) {
    assert.ok(!answer.ok, `answered ${answer.ok ? answer.result : ''}`);
    if (one.phase === 'load') assert.match(answer.failure, /^the script cannot be loaded: /);
    if (one.errorLine !== undefined) assert.match(answer.failure, new RegExp(`\\(line ${one.errorLine}\\)$`));
    return;
  }
  assert.ok(answer.ok, answer.ok ? '' : answer.failure);
  const expected = known === undefined ? one.expected : known.expected;
  if (one.expectedAlerts !== undefined) {
    const alerts = answer.calls.filter(({ helper }) => helper === 'alert').map(({ args }) => args[0]);
    assert.deepEqual(alerts, one.expectedAlerts);
  } else if (one.expectedSequence !== undefined) await inSequence(one, text, answer.result);
  else assert.equal(answer.result, one.expr === undefined ? expected : inWords(expected));
  if (one.expectedDnsQueries !== undefined) assert.deepEqual(stage.queries, one.expectedDnsQueries);
}

function textOf({ expr, pac, pacHex, contentType }: PacCase): string {
  if (expr !== undefined) return asScript(expr);
  return pac ?? decodeScript(Buffer.from(pacHex ?? '', 'hex'), charsetOf(contentType ?? ''));
}

async function inSequence(
  { expectedSequence, afterReload, url = '', host = '' }: PacCase,
  text: string,
  first: string,
) {
  const answers = [first];
  const more = async (of: string): Promise<string> => {
    const answer = await stage.evaluate(of, url, host);
    return answer.ok ? answer.result : answer.failure;
  };
  while (answers.length < (expectedSequence?.length ?? 0)) answers.push(await more(text));
  assert.deepEqual(answers, expectedSequence);
  const again: string[] = [];
  while (again.length < (afterReload?.length ?? 0)) again.push(await more(`${text}\n`));
  assert.deepEqual(again, afterReload);
}

const asText = (given: unknown): string => (typeof given === 'string' ? given : '');

function shown(route: Route): string {
  if (route.via === 'direct') return 'DIRECT';
  const [{ scheme, proxy }] = route.hops;
  return `${scheme} ${formatAuthority(proxy)}`;
}

function proxyShown(text: string): string {
  const { scheme, proxy } = parseProxyUrl(text, 'user');
  // The one spelling of an address, which is not the parser's business.
  const { hostname } = new URL(`http://${formatAuthority(proxy)}`);
  return `${scheme} ${hostname}:${proxy.port}`;
}

/** How the cases of each group are judged. Those with a script or an expression are evaluated. */
const JUDGES: Readonly<Record<string, (one: PacCase) => void>> = {
  'url-sanitize': ({ input, expected }) => assert.equal(scriptUrl(asText(input)).url, expected),
  'result-parse': ({ input, expected }) => {
    // An answer without any good entry means direct; some cases show the empty list before that.
    const routes = readPacResult(asText(input), 'pac').routes.map(shown);
    assert.deepEqual(routes, Array.isArray(expected) && expected.length === 0 ? ['DIRECT'] : expected);
  },
  'proxy-uri': (one) => {
    if ('error' in one) assert.throws(() => parseProxyUrl(asText(one.input), 'user'));
    else assert.equal(proxyShown(asText(one.input)), one.expected);
  },
  'no-proxy-list': ({ list = '', url = '', expected }) => {
    const entry = noProxyMatcher(splitNoProxy(list))({ host: scriptUrl(url).host, port: 80 });
    assert.equal(entry === undefined ? 'proxy' : 'bypass', expected);
  },
  'encoding-contenttype': ({ contentType = '', expected }) => assert.equal(charsetOf(contentType) || null, expected),
};

for (const one of cases) {
  if (one.id in LEFT_OUT || one.group === LEFT_OUT_GROUP) continue;
  const what = one.expr ?? one.note ?? one.name ?? '';
  test(`PAC ${one.id}${what === '' ? '' : `: ${what.slice(0, 100)}`}`, async () => {
    const judge = JUDGES[one.group];
    if (judge !== undefined) return judge(one);
    assert.ok(one.expr ?? one.pac ?? one.pacHex, 'no judge for a case of this kind');
    await evaluated(one);
  });
}

test('every case is run or left out for a reason, and every difference is a known one', () => {
  const ids = new Set(cases.map(({ id }) => id));
  assert.equal(ids.size, cases.length);
  for (const id of [...Object.keys(LEFT_OUT), ...Object.keys(AS_CHROMIUM)]) assert.ok(ids.has(id), `${id} is no case`);
  for (const { id, optional, browsers_disagree } of cases) {
    if (id in AS_CHROMIUM)
      assert.ok(optional === true || browsers_disagree !== undefined, `browsers agree about ${id}`);
  }
});
