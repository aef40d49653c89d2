import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Policy } from '../core/contracts.ts';
import type { Decision, Identified } from '../core/stages.ts';
import { parseAuthority } from '../protocol/authority.ts';
import { policyChain } from './chain.ts';

const from: Identified = {
  request: {
    id: '1',
    kind: 'tunnel',
    method: 'CONNECT',
    version: '1.1',
    headers: [],
    target: parseAuthority('a.example:443'),
    client: { address: '127.0.0.1', port: 1, listener: '' },
    signal: new AbortController().signal,
    startedMs: 0,
  },
  principal: { name: '', scheme: 'none' },
};
const saying = (decision: Decision, asked: string[] = []): Policy => ({
  async decide() {
    asked.push(decision.rule);
    return decision;
  },
});

test('a request passes when every policy allows it, under the rule of the last', async () => {
  const chain = policyChain([
    saying({ verdict: 'allow', rule: 'a', wouldDeny: 'dry' }),
    saying({ verdict: 'allow', rule: 'b' }),
  ]);
  assert.deepEqual(await chain.decide(from), { verdict: 'allow', rule: 'b', wouldDeny: 'dry' });
});

test('the first policy that denies decides, and the rest are not asked', async () => {
  const asked: string[] = [];
  const chain = policyChain([
    saying({ verdict: 'allow', rule: 'a' }, asked),
    saying({ verdict: 'deny', rule: 'b', code: 'denied' }, asked),
    saying({ verdict: 'allow', rule: 'c' }, asked),
  ]);
  assert.deepEqual(await chain.decide(from), { verdict: 'deny', rule: 'b', code: 'denied' });
  assert.deepEqual(asked, ['a', 'b']);
});

test('one policy stands for itself', () => {
  const only = saying({ verdict: 'allow', rule: 'a' });
  assert.equal(policyChain([only]), only);
});
