import type * as z from 'zod';
import type { AdminOptions, adminSettings } from '../admin/options.ts';
import { completeListen, type Listen, type listenAddress, type WrittenListen } from '../clients/options.ts';

/** Dashboard, API and metrics. */
export interface AdminConfig extends AdminOptions {
  readonly listen: readonly Listen[];
  /** The default address: it moves to a free port when another program has it. */
  readonly mayMove: boolean;
}

type WrittenAdmin = boolean | z.output<ReturnType<typeof adminSettings<typeof listenAddress>>>;

const ADMIN_PORT = 3129;
const DEFAULTS = { listen: undefined, metrics: 'open', modes: false } as const;

/** `admin` as it is written; `proxies`: the listeners of the proxy. `undefined`: there is no admin address. */
export function completeAdmin(written: WrittenAdmin, proxies: readonly Listen[]): AdminConfig | undefined {
  if (written === false) return undefined;
  const { listen, ...options } = written === true ? DEFAULTS : written;
  if (listen !== undefined) {
    const addresses = Array.isArray(listen) ? listen : [listen];
    return { ...options, listen: addresses.flatMap((one) => completeListen(one, ADMIN_PORT)), mayMove: false };
  }
  // A listener of the proxy has that port, and is opened later.
  const isTaken = proxies.some((one) => one.kind === 'tcp' && one.port === ADMIN_PORT);
  const address: WrittenListen = { kind: 'tcp', protocol: 'http', host: 'localhost', port: isTaken ? 0 : ADMIN_PORT };
  return { ...options, listen: completeListen(address, ADMIN_PORT), mayMove: true };
}
