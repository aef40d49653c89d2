import type { AdmissionDeps } from '../counting/admission.ts';
import { StoreBackend } from '../store/store-backend.ts';
import type { LimitsBackend } from './backend.ts';
import { IpcLimitsClient } from './ipc-client.ts';
import type { SharedCounts } from './ipc-server.ts';
import type { ToLimitsClient, ToLimitsServer } from './messages.ts';

/** To the process that owns the limits of a cluster. */
export interface LimitsChannel {
  send(messages: readonly ToLimitsServer[]): void;
  /** Called once, before the first `send`. */
  onMessages(receive: (messages: readonly ToLimitsClient[]) => void): void;
}

/** What a process was started with that can own its limits. */
export interface BackendSources {
  /** Absent: this process is no worker. */
  readonly primary?: LimitsChannel | undefined;
  /** Where other instances count the same limits; a worker leaves it to its primary. */
  readonly store?: SharedCounts | undefined;
  readonly deps: AdmissionDeps;
}

/**
 * Where the limits of this process are counted; `undefined`: in itself. The only place that knows the kinds of backends.
 * The caller hands it to `createLimits`, which disposes it.
 */
export function chooseBackend({ primary, store, deps }: BackendSources): LimitsBackend | undefined {
  if (primary !== undefined) {
    const client = new IpcLimitsClient((messages) => primary.send(messages));
    primary.onMessages((messages) => client.receive(messages));
    return client;
  }
  return store && new StoreBackend(store, deps);
}
