import { after, before } from 'node:test';
import { type Kdc, startKdc } from './kdc.ts';
import { LabOrigin } from './through-upstream.ts';
import { startWinbind, type Winbind } from './winbind.ts';

/** The servers behind the upstream proxies of the lab: an origin, Samba's accounts and a KDC with tickets. */
export interface LabServers {
  readonly origin: LabOrigin;
  readonly winbind: Winbind;
  readonly kdc: Kdc;
}

/** Starts them before the tests of a file, unless the tests are skipped, and ends them afterwards. */
export function labServers(skip: string | false): LabServers {
  const stack = new AsyncDisposableStack();
  let servers: LabServers | undefined;
  before(async () => {
    if (skip !== false) return;
    const [origin, winbind, kdc] = await Promise.all([LabOrigin.listen(), startWinbind(), startKdc()]);
    servers = { origin: stack.use(origin), winbind: stack.use(winbind), kdc: stack.use(kdc) };
  });
  after(() => stack.disposeAsync());
  const started = (): LabServers => {
    if (servers === undefined) throw new Error('the servers of the lab start before the first test');
    return servers;
  };
  return {
    get origin() {
      return started().origin;
    },
    get winbind() {
      return started().winbind;
    },
    get kdc() {
      return started().kdc;
    },
  };
}
