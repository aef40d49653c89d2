import { parseIp } from '../../protocol/addresses/ip-address.ts';
import { classify } from '../../protocol/addresses/ip-class.ts';
import { UsageError } from '../print.ts';
import { runningOn, tokenIn } from '../running-proxy.ts';
import type { ApiAddress } from './api-client.ts';

export interface FindOptions {
  readonly stateDir: string;
  readonly port: string | undefined;
  readonly url: string | undefined;
  readonly token: string | undefined;
}

/** The API that `--url` names, or that of the only proxy of this user that runs (on `--port`). Throws UsageError. */
export async function findApi({ stateDir, port, url, token }: FindOptions): Promise<ApiAddress> {
  if (url !== undefined) {
    const address = adminUrl(url);
    return { kind: 'url', url: address, token: token ?? (isLoopback(address) ? tokenIn(stateDir) : undefined) };
  }
  const { control, admin } = await runningOn(port, stateDir);
  if (control !== undefined) return { kind: 'socket', path: control };
  if (admin !== undefined) return { kind: 'url', url: adminUrl(admin), token: token ?? tokenIn(stateDir) };
  throw new UsageError('that proxy has neither a control socket nor an admin address; start it with one');
}

/** The token in the state folder opens the proxy of this user on this machine, and is no other machine's business. */
function isLoopback({ hostname }: URL): boolean {
  const ip = parseIp(hostname.replace(/^\[|\]$/g, ''));
  return hostname === 'localhost' || (ip !== undefined && classify(ip) === 'loopback');
}

function adminUrl(text: string): URL {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new UsageError('--url is not a valid address; write for example http://localhost:3129');
  return url;
}
