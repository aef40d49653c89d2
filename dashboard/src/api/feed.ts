import { signal } from '@preact/signals';
import { EventStreamParser } from './event-stream.ts';
import { authorization } from './request.ts';
import { signOut } from './session.ts';
import type { Change, LogLine, Snapshot } from './shape.ts';

export type Connection =
  | { readonly at: 'connecting' }
  | { readonly at: 'open' }
  | { readonly at: 'lost'; readonly retryAtMs: number };

export interface FeedListeners {
  onSnapshot(snapshot: Snapshot): void;
  onChange(change: Change): void;
  onLog(line: LogLine): void;
}

export const connection = signal<Connection>({ at: 'connecting' });
/** When the last byte came, by `performance.now()`; 0: none yet. */
export const lastHeardMs = signal(0);

/** A comment comes every 15 s: a longer silence means that the connection is dead without a FIN. */
const SILENCE_MS_MAX = 20_000;
const RETRY_MS = [500, 1_000, 2_000, 4_000, 5_000] as const;

/** Reads the events of the API, and connects again whenever they end. Gives what stops it. */
export function startFeed(listeners: FeedListeners): () => void {
  const stop = new AbortController();
  void follow(listeners, stop.signal);
  return () => stop.abort();
}

async function follow(listeners: FeedListeners, stopped: AbortSignal): Promise<void> {
  for (let failures = 0; !stopped.aborted; ) {
    const outcome = await readOnce(listeners, stopped);
    if (outcome === 'refused' || stopped.aborted) return;
    failures = outcome === 'ended' ? 0 : failures + 1;
    const waitMs = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] ?? 5_000;
    connection.value = { at: 'lost', retryAtMs: performance.now() + waitMs };
    await wait(waitMs, stopped);
  }
}

/** One connection: `ended` after events came, `failed` where none did. */
async function readOnce(listeners: FeedListeners, stopped: AbortSignal): Promise<'ended' | 'failed' | 'refused'> {
  const silence = new AbortController();
  const signalOfBoth = AbortSignal.any([stopped, silence.signal]);
  let timer = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
  let outcome: 'ended' | 'failed' = 'failed';
  try {
    const response = await fetch('api/events', {
      headers: { ...authorization(), accept: 'text/event-stream' },
      signal: signalOfBoth,
    });
    if (response.status === 401) {
      signOut('The token is no longer valid.');
      return 'refused';
    }
    if (!response.ok || response.body === null) return 'failed';
    const parser = new EventStreamParser();
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
      lastHeardMs.value = performance.now();
      for (const { name, data } of parser.push(decoder.decode(value, { stream: true }))) {
        outcome = 'ended';
        connection.value = { at: 'open' };
        if (name === 'snapshot') listeners.onSnapshot(JSON.parse(data));
        else if (name === 'change') listeners.onChange(JSON.parse(data));
        else if (name === 'log') listeners.onLog(JSON.parse(data));
      }
    }
  } catch {
    // A connection that breaks and one that ends are the same to the reader: it connects again.
  } finally {
    clearTimeout(timer);
  }
  return outcome;
}

function wait(ms: number, stopped: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stopped.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
