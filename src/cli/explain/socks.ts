import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { asProxyError } from '../../contracts/failure.ts';
import type { Authority } from '../../contracts/request.ts';
import { formatAuthority } from '../../protocol/addresses/authority.ts';
import { formatHop, parseProxyUrl } from '../../protocol/routes/proxy-url.ts';
import { createProxyTunnel } from '../../via/proxy-tunnel.ts';
import { ExplainError } from './explain-error.ts';
import type { Trace } from './trace.ts';

export const isSocks = (proxy: URL): boolean => proxy.protocol.startsWith('socks');

/** A tunnel through a SOCKS proxy, as an upstream proxy would be asked for one. Throws ExplainError. */
export async function openSocksTunnel(proxy: URL, site: Authority, signal: AbortSignal, trace: Trace): Promise<Duplex> {
  const hop = parseProxyUrl(proxy.href, 'user');
  let tunnel: Duplex;
  try {
    tunnel = await createProxyTunnel(proxy.href, {}).open(site, signal);
  } catch (error) {
    const { detail, clientDetail } = asProxyError(error);
    throw new ExplainError(
      {
        who: 'the proxy',
        what: signal.aborted ? 'no response in time' : detail,
        ...(clientDetail === undefined ? {} : { advice: clientDetail }),
      },
      { cause: error },
    );
  }
  if (tunnel instanceof Socket) {
    const from = formatAuthority({ host: tunnel.localAddress ?? '', port: tunnel.localPort ?? 0 });
    const to = formatAuthority({ host: tunnel.remoteAddress ?? '', port: tunnel.remotePort ?? 0 });
    trace.add({ kind: 'proxy-connected', from, to, over: 'tcp' });
  }
  trace.add({
    kind: 'socks',
    protocol: hop.scheme,
    proxy: formatHop(hop),
    asked: formatAuthority(site),
    resolvedBy: hop.scheme === 'socks4' ? 'you' : 'the proxy',
    login: hop.login === undefined ? 'none' : 'if it asks',
  });
  return tunnel;
}
