import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../contracts/stages.ts';
import { atOnce } from '../util/slices.ts';
import type { RouteRule } from './options.ts';
import { buildRuleMatcher } from './rules.ts';

const via: readonly Route[] = [{ via: 'direct' }];
const nameOf = (rules: readonly RouteRule[], host: string, port: number): string | undefined => {
  const by = atOnce(buildRuleMatcher(rules))({ host, port })?.by;
  return by?.kind === 'rule' ? by.rule : undefined;
};

test('the first rule that matches decides, with every kind of pattern', () => {
  const rules: RouteRule[] = [
    { name: 'ssh', ports: [22], via },
    { name: 'api', hosts: ['api.corp.example'], ports: [443, '8000-8999'], via },
    { name: 'corp', hosts: ['.corp.example', '10.0.0.0/8'], via },
    { name: 'build', hosts: ['build-*.example'], via },
    { name: 'late', hosts: ['www.corp.example'], via },
  ];
  const targets = [
    ['anything.example', 22],
    ['api.corp.example', 443],
    ['api.corp.example', 8080],
    ['api.corp.example', 80],
    ['corp.example', 443],
    ['10.1.2.3', 443],
    ['::ffff:10.1.2.3', 443],
    ['build-7.example', 443],
    ['www.corp.example', 443],
    ['elsewhere.example', 443],
  ] as const;
  assert.deepEqual(
    targets.map(([host, port]) => nameOf(rules, host, port)),
    ['ssh', 'api', 'api', 'corp', 'corp', 'corp', 'corp', 'build', 'corp', undefined],
  );
});

test('an address that only looks translated does not get the route of the address inside', () => {
  assert.equal(nameOf([{ name: 'office', hosts: ['10.0.0.0/8'], via }], '64:ff9b::a00:1', 443), undefined);
});

test('without rules none decides', () => assert.equal(nameOf([], 'a.example', 80), undefined));

test('ten thousand rules decide in microseconds, and always with the same object', () => {
  const rules = Array.from({ length: 10_000 }, (_, at) => ({ name: `r${at}`, hosts: [`.site${at}.example`], via }));
  const match = atOnce(buildRuleMatcher(rules));
  const target = { host: 'www.site9999.example', port: 443 };
  assert.equal(match(target), match(target));
  const started = performance.now();
  for (let round = 0; round < 10_000; round++) match(target);
  // Twenty times the usual duration; a linear search takes a hundred times as long.
  assert.ok(performance.now() - started < 400, 'a decision searches the rules linearly');
});
