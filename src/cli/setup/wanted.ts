import { isSea } from 'node:sea';
import { bridgesOf } from '../../clients/bridges.ts';
import type { BridgeKind } from '../../clients/options.ts';
import type { MeantProxy } from '../meant-proxy.ts';
import { UsageError } from '../print.ts';
import type { Wanted } from './tool.ts';

/** What tools are pointed at. Throws UsageError for a proxy that cannot be written into tools. */
export function wantedFor(
  proxy: MeantProxy,
  pac: 'only' | 'where-served',
  caFile: string | undefined,
  platform: NodeJS.Platform = process.platform,
): Wanted {
  if (proxy.url.includes('@')) {
    throw new UsageError(
      'a password is never written into a tool; run viaduct with --proxy and a login, and set up that one',
    );
  }
  if (!proxy.url.startsWith('http://')) {
    throw new UsageError('most tools know proxies of http:// alone; run viaduct with --proxy, and set up that one');
  }
  const isViaduct = proxy.by !== 'through' || pac === 'only';
  const [runtime, script] = [process.execPath, process.argv[1]];
  return {
    proxy,
    pacUrl: isViaduct ? `${proxy.url}/proxy.pac` : undefined,
    caFile,
    command: script === undefined || isSea() ? [runtime] : [runtime, script],
    // Docker Desktop and Podman Desktop pass this name on to the loopback of the machine.
    containerUrl: platform === 'linux' ? containerUrl(proxy) : `http://host.docker.internal:${proxy.port}`,
  };
}

/** The first listener on a bridge of this machine, or its address there where one listens for all addresses. */
function containerUrl({ instance }: MeantProxy): string | undefined {
  const kinds: readonly BridgeKind[] = ['docker', 'podman'];
  const addresses = kinds.flatMap((kind) => bridgesOf(kind).map(({ address }) => address));
  for (const text of instance?.listeners ?? []) {
    const [, host = '', port] = /^(?:http|any):\/\/(.+):(\d+)$/.exec(text) ?? [];
    const bare = host.replace(/^\[|\]$/g, '');
    const reached = bare === '0.0.0.0' || bare === '::' ? addresses[0] : addresses.find((address) => address === bare);
    if (reached !== undefined) return `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}`;
  }
  return undefined;
}
