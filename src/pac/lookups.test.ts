import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { cachingResolver } from '../upstream/resolver.ts';
import { boundedLookups, lookupsMax } from './lookups.ts';

test('a quarter of the threads may look up names for scripts', () => {
  assert.deepEqual([undefined, '16', '1', 'x', '1024'].map(lookupsMax), [1, 4, 1, 1, 256]);
});

test('names that hang for scripts leave room for targets, and others wait until one of them has ended', async () => {
  const open = new Map<string, () => void>();
  const resolver = cachingResolver(
    new ManualClock(),
    (host) => new Promise((resolve) => open.set(host, () => resolve(['192.0.2.1']))),
  );
  const lookup = boundedLookups(resolver, 2);
  const wanted = new AbortController();
  const given: Promise<unknown>[] = ['a', 'a', 'b', 'c', 'd'].map((host) =>
    lookup(host, wanted.signal).catch(() => host),
  );
  await nextTurn();
  assert.deepEqual([...open.keys()], ['a', 'b']);
  const target = resolver.resolve('target', new AbortController().signal);
  open.get('target')?.();
  assert.deepEqual(await target, ['192.0.2.1']);
  // The evaluations are over, the lookups are not: they keep what they have, and those that waited never begin.
  wanted.abort(new Error('late'));
  assert.deepEqual(await Promise.all(given), ['a', 'a', 'b', 'c', 'd']);
  const later = lookup('e', new AbortController().signal);
  await nextTurn();
  assert.equal(open.has('e'), false);
  open.get('a')?.();
  await nextTurn();
  open.get('e')?.();
  assert.deepEqual(await later, ['192.0.2.1']);
  assert.deepEqual([...open.keys()], ['a', 'b', 'target', 'e']);
  assert.deepEqual(await lookup('a', new AbortController().signal), ['192.0.2.1'], 'what is known needs no turn');
});
