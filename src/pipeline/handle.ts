import type { ForwardSide, TunnelSide } from '../core/contracts.ts';
import { asProxyError, FAILURES } from '../core/failure.ts';
import type { ForwardRequest, OwnRequest, TunnelRequest } from '../core/request.ts';
import { Account } from './account.ts';
import { forward } from './forward.ts';
import { serveOwn } from './own.ts';
import { refusal } from './respond.ts';
import type { Rooms } from './rooms.ts';
import { connectTunnel } from './tunnel.ts';

/** One CONNECT from its head to its record. Never rejects: a request that fails is answered and recorded here. */
export const handleTunnel = (request: TunnelRequest, client: TunnelSide, rooms: Rooms): Promise<void> =>
  story(request, client, rooms, (account) => connectTunnel({ request }, client, rooms, account));

/** One plain request from its head to its record. */
export const handleForward = (request: ForwardRequest, client: ForwardSide, rooms: Rooms): Promise<void> =>
  story(request, client, rooms, (account) => forward({ request }, client, rooms, account));

/** One request that is for the proxy itself. */
export const handleOwn = (
  request: OwnRequest,
  client: Pick<ForwardSide, 'refuse' | 'abort' | 'begun'>,
  rooms: Rooms,
): Promise<void> =>
  story(request, client, rooms, async (account) => {
    const reply = serveOwn(request, rooms);
    account.status = reply.status;
    await client.refuse(reply);
  });

async function story(
  request: TunnelRequest | ForwardRequest | OwnRequest,
  client: Pick<ForwardSide, 'refuse' | 'begun'> & Partial<Pick<ForwardSide, 'abort'>>,
  rooms: Rooms,
  tell: (account: Account) => Promise<void>,
): Promise<void> {
  const account = new Account(request, rooms);
  if (request.kind !== 'own') rooms.observe({ type: 'received', id: request.id, request });
  try {
    await tell(account);
  } catch (thrown) {
    const error = asProxyError(thrown);
    account.failure = { code: error.code, detail: error.detail };
    if (error.code === 'internal')
      rooms.observe({ type: 'notice', level: 'error', message: `request ${request.id}: ${error.detail}` });
    if (!client.begun) {
      account.status = FAILURES[error.code].status;
      await client.refuse(refusal(error, request.id, request.version, rooms.identity)).catch(() => undefined);
    } else {
      // The answer has begun: the only honest way to say that it is incomplete is to cut it.
      client.abort?.();
    }
  } finally {
    account.close();
  }
}
