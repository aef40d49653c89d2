import { stateFolder } from '../../files/state-folder.ts';
import { systemClock } from '../../util/clock.ts';
import type { Call } from '../command.ts';
import { out } from '../print.ts';
import { ApiClient } from './api-client.ts';
import { findApi } from './find-api.ts';
import { plainTable } from './frame.ts';
import { LiveTable } from './live-table.ts';
import { LiveView } from './live-view.ts';

/** `viaduct top`: the requests of a running proxy, live in a terminal; elsewhere those of now, as text. */
export async function run({ options }: Call): Promise<number> {
  const api = new ApiClient(
    await findApi({
      stateDir: stateFolder(process.env),
      port: options.get('port')?.at(-1) ?? process.env.VIADUCT_PORT,
      url: options.get('url')?.at(-1),
      token: process.env.VIADUCT_ADMIN_TOKEN || undefined,
    }),
  );
  if (process.stdout.isTTY !== true || process.stdin.isTTY !== true) return await printOnce(api);
  const view = new LiveView({ api, streams: { input: process.stdin, output: process.stdout }, clock: systemClock });
  const stop = () => view.stop();
  process.once('SIGTERM', stop);
  process.once('SIGHUP', stop);
  await view.run();
  return 0;
}

async function printOnce(api: ApiClient): Promise<number> {
  const table = new LiveTable();
  const stopped = new AbortController();
  for await (const { name, data } of api.events(stopped.signal)) {
    table.apply(name, data);
    if (name === 'snapshot') break;
  }
  stopped.abort();
  for (const line of plainTable(table, { sort: 'rate', order: 'first', filter: '' }, systemClock.wallMs())) out(line);
  return 0;
}
