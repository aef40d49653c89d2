import type { ForwardSide, OriginReply, OutgoingBody } from '../core/contracts.ts';
import type { ForwardRequest } from '../core/request.ts';
import type { Permit, Received } from '../core/stages.ts';
import { tokensOf } from '../protocol/header-list.ts';
import { allowedTrailers } from '../protocol/hop-by-hop.ts';
import type { Account } from './account.ts';
import { answerItself } from './max-forwards.ts';
import { interimHead, outgoingReply } from './outgoing-reply.ts';
import { outgoingHeaders, upgradeOffered } from './outgoing-request.ts';
import type { Rooms } from './rooms.ts';
import { admit, dialScope, identify, route } from './steps.ts';

/** The story of a plain HTTP request: the same steps as a tunnel, then one exchange instead of two flows. */
export async function forward(
  received: Received<ForwardRequest>,
  client: ForwardSide,
  rooms: Rooms,
  account: Account,
): Promise<void> {
  const { request } = received;
  const identified = await identify(received, rooms, account);
  const admitted = await admit(identified, rooms, account);
  using permit = admitted.permit;
  const own = answerItself(request, rooms.identity);
  if (own !== undefined) {
    account.status = own.status;
    return await client.refuse(own);
  }
  const routed = await route(admitted, rooms, account);
  const upgrade = upgradeOffered(request);
  account.enter('head');
  using reply = await rooms.exchange.send(
    {
      method: request.method,
      target: request.target,
      path: request.method === 'OPTIONS' && request.path === '' ? '*' : request.path,
      headers: outgoingHeaders(request, upgrade, rooms.identity),
      body: outgoingBody(request, permit, rooms, account),
      upgrade,
      inform: (head) => client.inform(interimHead(head, rooms.identity)),
    },
    routed.routes,
    dialScope(request, rooms),
  );
  account.route = reply.route;
  account.address = reply.address;
  account.status = reply.head.status;
  if (reply.upgraded !== undefined) return await switchProtocols(reply, request, client, permit, rooms, account);
  const nominated = tokensOf(reply.head.headers, 'connection');
  account.enter('relay');
  await client.respond(outgoingReply(reply, request, rooms), reply.body, {
    gate: permit.down,
    trailers: (arrived) => allowedTrailers(arrived, nominated),
    idleMs: rooms.times.idleMs,
    count: (bytes) => (account.down += bytes),
    // An origin that refuses wants no more of the request; any other may be reading on while it answers.
    upload: reply.head.status < 400 ? reply.sent : undefined,
  });
}

/** After a 101 the connection is a tunnel like any other. */
async function switchProtocols(
  { upgraded, ...reply }: OriginReply,
  request: ForwardRequest,
  client: ForwardSide,
  permit: Permit,
  rooms: Rooms,
  account: Account,
): Promise<void> {
  if (upgraded === undefined) return;
  const tunnel = await client.upgrade(outgoingReply({ ...reply, upgraded }, request, rooms));
  const { idleMs, lingerMs } = rooms.times;
  account.enter('relay');
  const limits = { signal: request.signal, idleMs, lingerMs, permit, meter: account };
  const result = await rooms.relay.run(tunnel, upgraded, limits);
  account.end = result.end;
}

function outgoingBody(
  { body, headers, signal }: ForwardRequest,
  permit: Permit,
  rooms: Rooms,
  account: Account,
): OutgoingBody | undefined {
  if (body === undefined) return undefined;
  const nominated = tokensOf(headers, 'connection');
  let complete = false;
  return {
    get complete() {
      return complete;
    },
    async sendTo({ wire }) {
      const bytes = await rooms.bodies.move(body, wire.stream, {
        head: undefined,
        coding: body.framing.kind === 'chunked' ? 'chunked' : 'raw',
        trailers: (arrived) => allowedTrailers(arrived, nominated),
        gate: permit.up,
        signal,
        idleMs: rooms.times.requestBodyMs,
        silent: 'client_too_slow',
        stuck: 'origin_silent',
        broken: 'reset_before_head',
        count: (sent) => (account.up += sent),
      });
      complete = true;
      return bytes;
    },
  };
}
