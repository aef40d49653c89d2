import { type ReadonlySignal, type Signal, signal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { offers } from './offers.ts';
import { ApiError, request } from './request.ts';

/** What a section of the page knows of its endpoint. `absent`: this proxy does not offer it. */
export type Resource<T> =
  | { readonly at: 'loading' }
  | { readonly at: 'ready'; readonly value: T; readonly stale?: string }
  | { readonly at: 'absent' }
  | { readonly at: 'failed'; readonly message: string };

export interface Polled<T> {
  readonly state: ReadonlySignal<Resource<T>>;
  refresh(): Promise<void>;
}

/** Reads an endpoint now and every `everyMs` while the view is there and the page is visible. */
export function useResource<T>(path: string, everyMs: number): Polled<T> {
  const [state] = useState(() => signal<Resource<T>>({ at: 'loading' }));
  const latest = useRef(path);
  latest.current = path;
  // A response that was asked for under another path comes too late.
  const refresh = () => load<T>(path, state, () => latest.current === path);
  useEffect(() => {
    state.value = { at: 'loading' };
    void refresh();
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible' && state.value.at !== 'absent') void refresh();
    }, everyMs);
    return () => clearInterval(timer);
  }, [path, everyMs]);
  return { state, refresh };
}

async function load<T>(path: string, state: Signal<Resource<T>>, isWanted: () => boolean): Promise<void> {
  try {
    if ((await offers(path)) === 'no') {
      if (isWanted()) state.value = { at: 'absent' };
      return;
    }
    const value = await request<T>('GET', path);
    if (isWanted()) state.value = { at: 'ready', value };
  } catch (error) {
    if (!isWanted()) return;
    if (error instanceof ApiError && (error.status === 404 || error.status === 501)) {
      state.value = { at: 'absent' };
      return;
    }
    const message = error instanceof Error ? error.message : String(error);
    const last = state.value;
    // What was read before is still worth more than an empty page; it says that it is old.
    state.value = last.at === 'ready' ? { ...last, stale: message } : { at: 'failed', message };
  }
}
