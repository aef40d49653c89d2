import type { TunnelSide } from '../core/contracts.ts';
import type { TunnelRequest } from '../core/request.ts';
import type { Received } from '../core/stages.ts';
import type { Account } from './account.ts';
import type { Rooms } from './rooms.ts';
import { admit, connect, identify, route } from './steps.ts';

/**
 * The story of a CONNECT (RFC 9110 §9.3.6). Reordering the steps does not compile; leaving early gives back, in
 * reverse, what was taken.
 */
export async function connectTunnel(
  received: Received<TunnelRequest>,
  client: TunnelSide,
  rooms: Rooms,
  account: Account,
): Promise<void> {
  const identified = await identify(received, rooms, account);
  const admitted = await admit(identified, rooms, account);
  using permit = admitted.permit;
  const routed = await route(admitted, rooms, account);
  const connected = await connect(routed, rooms, account);
  using upstream = connected.upstream;
  using tunnel = await client.established();
  account.status = 200;
  rooms.observe({ type: 'established', id: received.request.id });
  const { signal } = received.request;
  const { idleMs, lingerMs } = rooms.times;
  account.enter('relay');
  const result = await rooms.relay.run(tunnel, upstream, { signal, idleMs, lingerMs, permit, meter: account });
  account.end = result.end;
}
