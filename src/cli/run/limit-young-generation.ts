import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import type { Clock } from '../../util/clock.ts';

/**
 * Both halves of the space for young objects together. It doubles whenever many of them live on, as those of tunnels do
 * while they are being opened, up to 32 MiB that then stay; below 8 MiB its collections cost a tenth of all CPU.
 */
const YOUNG_BYTES_MAX = 8 * 1_048_576;

/** Sets V8 up for a process in which nothing that is made per request lives long, and many such things are silent. */
export function limitYoungGeneration(): void {
  // V8 makes objects long-lived at once where those of the same line of code have been seen to live long, as the tunnels
  // of a busy minute do. Then every tunnel leaves such objects behind, and with them all that they point to, until a
  // full collection: a tenth of all garbage, and collections that take twenty times as long.
  setFlagsFromString('--no-allocation-site-pretenuring');
  // The middle one of its three compilers saves a tenth or more of the CPU of the first few thousand requests, until the
  // last has had its turn, and keeps 10 MB for good.
  setFlagsFromString('--no-maglev');
}

/** How the space for young objects grows now. Of the process, as V8's flags are. */
let growth: 'doubles' | 'stays' = 'doubles';
const setGrowth = (now: typeof growth): void =>
  setFlagsFromString(`--semi-space-growth-factor=${now === 'doubles' ? 2 : 1}`);

/** How often it is looked whether a full collection has made the space smaller, so that it may grow again. */
const SHRUNK_MS = 10_000;

const youngBytes = (): number =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0;

/**
 * V8 takes its bound only before it starts; by how much the space grows it asks each time. For when the proxy listens: it takes a
 * millisecond. Collections are followed only while the space may grow: to hear of one costs as much as three small requests.
 */
export function boundYoungSpace(clock: Clock): void {
  const collections = new PerformanceObserver(() => {
    if (youngBytes() < YOUNG_BYTES_MAX) return;
    collections.disconnect();
    growth = 'stays';
    setGrowth(growth);
    followShrinking();
  });
  const followGrowth = () => {
    growth = 'doubles';
    setGrowth(growth);
    collections.observe({ entryTypes: ['gc'] });
  };
  const followShrinking = () => {
    clock.after(SHRUNK_MS, () => (youngBytes() < YOUNG_BYTES_MAX ? followGrowth() : followShrinking()));
  };
  followGrowth();
}

/** With the flags of the start: compiled code is good only for a process with the same. */
export function withFlagsOfStart<T>(task: () => T): T {
  setGrowth('doubles');
  try {
    return task();
  } finally {
    setGrowth(growth);
  }
}
