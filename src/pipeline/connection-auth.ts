import type { ConnectionAuth } from '../contracts/client.ts';
import type { OriginOwner, OriginResponse } from '../contracts/exchange.ts';
import type { ForwardRequest } from '../contracts/request.ts';
import type { Principal } from '../contracts/stages.ts';
import { formatAuthority } from '../protocol/addresses/authority.ts';
import { hasConnectionChallenge, withoutConnectionChallenges } from '../protocol/http-auth/connection-auth.ts';
import { firstOf } from '../protocol/http1/header-list.ts';
import type { RecordBuilder } from './record-builder.ts';
import type { Services } from './services.ts';

/** Written by proxies for the clients behind them; some write no `Via`, and send many clients over one connection. */
const OF_PROXIES = ['via', 'forwarded', 'x-forwarded-for'] as const;

/** Who may have a connection with an origin to itself: a client that no other proxy stands for, with one user at a time. */
export const originOwnerOf = (
  connectionAuth: ConnectionAuth,
  { headers }: ForwardRequest,
  principal: Principal,
): OriginOwner | undefined =>
  connectionAuth.carry(principal, OF_PROXIES.some((name) => firstOf(headers, name) !== undefined) ? 'proxy' : 'client');

/** Whether a response asks for a login of its connection, which its client has to itself. */
export const asksForConnectionAuth = ({
  connectionAuth,
  head,
}: Pick<OriginResponse, 'connectionAuth' | 'head'>): boolean =>
  connectionAuth === 'kept' && hasConnectionChallenge(head.headers);

/**
 * The response as a client may have it whose connection is shared: without the challenges that log on a connection. A login
 * could not succeed, and would be of all whose requests come the same way if it did.
 */
export function withoutConnectionAuth(
  response: OriginResponse,
  connectionAuth: ConnectionAuth,
  request: ForwardRequest,
  services: Services,
  record: RecordBuilder,
): Omit<OriginResponse, typeof Symbol.dispose> {
  // In a response that lets the client in, the field holds the proof of the server, for this one request.
  if (response.connectionAuth !== 'no-owner' || response.head.status !== 401) return response;
  const { kept, removed: left } = withoutConnectionChallenges(response.head.headers);
  if (left.length === 0) return response;
  const why =
    'they log on a connection, and that of this client is shared by another proxy (Via, Forwarded, X-Forwarded-For) or by several users';
  record.remark = `left out the challenges ${left.join(', ')}: ${why}`;
  if (connectionAuth.claimFirstReport()) {
    const who = `client ${request.client.address}, ${formatAuthority(request.target)}`;
    services.observe({ type: 'notice', level: 'warn', message: `${who}: ${record.remark}` });
  }
  return { ...response, head: { ...response.head, headers: kept } };
}
