import type { Listen } from '../clients/options.ts';
import type { Config } from '../config/config.ts';
import { parcelsOf } from '../config/reload/parcels.ts';
import type { Settings } from './messages.ts';
import type { WorkerHandle } from './worker-handle.ts';

/** In small messages, each after the response to the one before: the worker serves requests in between. */
export async function send(config: Config, worker: WorkerHandle): Promise<void> {
  for (const parcel of parcelsOf(config)) await worker.request({ type: 'take', parcel });
}

/** A path can be listened on by one process: the first worker. */
export const listenAt = (listen: readonly Listen[], at: number): readonly Listen[] =>
  at === 0 ? listen : listen.filter(({ kind }) => kind === 'tcp');

export function settingsAt({ listen, idKey }: Settings, at: number): Settings {
  return { idKey, listen: listenAt(listen, at) };
}
