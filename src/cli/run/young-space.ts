import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { withdrawCollection } from './collect-heap.ts';

/**
 * Both halves of the space for young objects together. It doubles whenever many of them live on, as those of tunnels do
 * while they are being opened; below 16 MiB its collections cost a twentieth of all CPU or more. One turn of the loop that makes
 * much, as for a large configuration, may pass the bound, since it is set only behind each turn.
 */
const YOUNG_BYTES_MAX = 16 * 1_048_576;

/** How the space for young objects grows now. Of the process, as V8's flags are. */
let growth: 'doubles' | 'stays' = 'doubles';
const setGrowth = (now: typeof growth): void =>
  setFlagsFromString(`--semi-space-growth-factor=${now === 'doubles' ? 2 : 1}`);

/** What both halves of the space for young objects take. */
export const youngBytes = (): number =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0;

/** There only while the space may grow: to hear of a collection costs as much as three small requests. */
let collections: PerformanceObserver | undefined;
/** A full collection finalizes, so that each is heard of. On Node 26 those of young objects do, too; that costs little. */
const fullCollections = new FinalizationRegistry<undefined>(() => boundYoungSpace());

/**
 * Bounds the space for young objects, for when the proxy listens: it takes a millisecond. V8 takes a bound only before it starts;
 * by how much the space grows it asks each time. A full collection in a quiet moment makes the space as small as at the start:
 * a few requests fill it, and unless it may grow again, each request from then on costs half as much again.
 */
export function boundYoungSpace(): void {
  fullCollections.register({}, undefined);
  lookAtYoungSpace();
}

function lookAtYoungSpace(): void {
  growth = 2 * youngBytes() <= YOUNG_BYTES_MAX ? 'doubles' : 'stays';
  setGrowth(growth);
  if (growth === 'stays') {
    collections?.disconnect();
    collections = undefined;
  } else if (collections === undefined) {
    collections = new PerformanceObserver(lookAtYoungSpace);
    collections.observe({ entryTypes: ['gc'] });
  }
}

/** With the flags of the start: compiled code is good only for a process with the same. */
export function withFlagsOfStart<T>(task: () => T): T {
  withdrawCollection();
  setGrowth('doubles');
  try {
    return task();
  } finally {
    setGrowth(growth);
  }
}
