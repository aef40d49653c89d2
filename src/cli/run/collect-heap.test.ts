import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { getHeapStatistics } from 'node:v8';
import { systemClock } from '../../util/clock.ts';
import { collectAfterReload, collectWhenIdle } from './collect-heap.ts';
import { setV8Flags } from './v8-flags.ts';

const MIB = 1_048_576;
/** A process that is looked at meanwhile has work. */
const COLLECTED_MS = 3_000;

/** What V8 has begun while objects were made is over. */
const SETTLED_MS = 1_500;

const usedMiB = (): number => getHeapStatistics().used_heap_size / MIB;

const HOSTS = 300_000;
/** A large one. */
const configurationOf = (): object[] =>
  Array.from({ length: HOSTS }, (_, at) => ({ host: `${at}.example`, ports: [at, at + 1], rule: { at } }));

for (const [when, collect] of [
  ['a reload', collectAfterReload],
  ['a minute without requests', collectWhenIdle],
] as const) {
  test(`a process without work collects a large heap behind ${when}`, async () => {
    setV8Flags();
    const configurations = [configurationOf()];
    await wait(SETTLED_MS);
    assert.equal(configurations.pop()?.length, HOSTS);
    const before = usedMiB();
    assert.ok(before > 64, `${before} MiB`);
    collect(systemClock);
    await wait(COLLECTED_MS);
    assert.ok(usedMiB() < before / 2, `${usedMiB()} MiB of ${before}`);
  });
}
