import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Policy } from '../contracts/policy.ts';
import type { Decision, IdentifiedRequest } from '../contracts/stages.ts';
import { parseAuthority } from '../protocol/addresses/authority.ts';
import { policyChain } from './chain.ts';

const from: IdentifiedRequest = {
  request: {
    id: '1',
    kind: 'tunnel',
    method: 'CONNECT',
    protocol: 'http/1.1',
    credentials: undefined,
    headers: [],
    target: parseAuthority('a.example:443'),
    client: { address: '127.0.0.1', port: 1, listener: '' },
    signal: new AbortController().signal,
    startedMs: 0,
    requestTarget: 'a.test:443',
  },
  principal: { name: '', scheme: 'none' },
};
const policyThat = (decision: Decision, asked: string[] = []): Policy => ({
  async decide() {
    asked.push(decision.rule);
    return decision;
  },
});

test('a request passes when every policy allows it, under the rule of the last', async () => {
  const chain = policyChain([
    policyThat({ verdict: 'allow', rule: 'a', wouldDeny: 'dry' }),
    policyThat({ verdict: 'allow', rule: 'b' }),
  ]);
  assert.deepEqual(await chain.decide(from), { verdict: 'allow', rule: 'b', wouldDeny: 'dry' });
});

test('the first policy that denies decides, and the rest are not asked', async () => {
  const asked: string[] = [];
  const chain = policyChain([
    policyThat({ verdict: 'allow', rule: 'a' }, asked),
    policyThat({ verdict: 'deny', rule: 'b', code: 'denied' }, asked),
    policyThat({ verdict: 'allow', rule: 'c' }, asked),
  ]);
  assert.deepEqual(await chain.decide(from), { verdict: 'deny', rule: 'b', code: 'denied' });
  assert.deepEqual(asked, ['a', 'b']);
});

test('one policy stands for itself', () => {
  const only = policyThat({ verdict: 'allow', rule: 'a' });
  assert.equal(policyChain([only]), only);
});
