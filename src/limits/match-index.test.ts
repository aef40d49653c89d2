import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '../protocol/addresses/ip-address.ts';
import { atOnce } from '../util/slices.ts';
import { buildMatcher } from './match.ts';
import { indexOf, LimitIndex } from './match-index.ts';
import type { Subject } from './subject.ts';

const host = fc.constantFrom('a.example', 'b.example', 'deep.b.example', '10.0.0.7');
const user = fc.constantFrom('', 'ann', 'bob');
const client = fc.constantFrom('10.0.0.1', '10.0.0.2', '192.168.0.1');
const port = fc.constantFrom(80, 443);
const some = <T>(one: fc.Arbitrary<T>) => fc.option(fc.array(one, { minLength: 1, maxLength: 3 }), { nil: undefined });

const match = fc.record({
  hosts: some(fc.oneof(host, fc.constantFrom('.example', '*.b.example', '*'))),
  users: some(user),
  clients: some(fc.oneof(client, fc.constant('10.0.0.0/8'))),
  ports: some(port),
});
const limits = fc.array(fc.option(match, { nil: undefined }), { maxLength: 30 });
const subject: fc.Arbitrary<Subject> = fc
  .record({ host, user, client: fc.option(client, { nil: '' }), port })
  .map((known) => ({
    ...known,
    id: '1',
    address: known.client === '' ? undefined : parseIp(known.client),
    isTunnel: true,
  }));

test('finds those that apply, each once and in their order, as asking each of them would', () => {
  fc.assert(
    fc.property(limits, subject, (matches, who) => {
      const all = matches.map((one) => ({ matches: atOnce(buildMatcher(one)) }));
      const index = atOnce(indexOf(matches.map((match) => ({ match }))));
      assert.deepEqual(
        new LimitIndex(all, index).find(who),
        all.filter(({ matches }) => matches(who)),
      );
    }),
    { numRuns: 500 },
  );
});
