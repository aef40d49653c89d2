import type { ForwardResponder } from '../contracts/client.ts';
import type { OriginOwner, OriginResponse, OutgoingBody } from '../contracts/exchange.ts';
import type { ForwardRequest } from '../contracts/request.ts';
import type { AdmittedRequest, Permit, ReceivedRequest } from '../contracts/stages.ts';
import { tokensOf } from '../protocol/http1/header-list.ts';
import { allowedTrailers } from '../protocol/http1/hop-by-hop.ts';
import { originOwnerOf, withoutConnectionAuth } from './connection-auth.ts';
import { maxForwardsResponse } from './max-forwards.ts';
import { outgoingHeaders, upgradeOffered } from './outgoing-request.ts';
import { interimHead, outgoingResponse } from './outgoing-response.ts';
import type { RecordBuilder } from './record-builder.ts';
import { sendLocal } from './respond.ts';
import { type OwnResponse, ownResponse } from './respond-hook.ts';
import type { Services } from './services.ts';
import { admit, dialScope, identify, ownerOf, route } from './steps.ts';

/** A plain HTTP request: the same steps as a tunnel, then one exchange instead of two flows. */
export async function forward(
  received: ReceivedRequest<ForwardRequest>,
  client: ForwardResponder,
  services: Services,
  record: RecordBuilder,
): Promise<void> {
  const { request } = received;
  // What is there at once is not waited for: each `await` costs a small request a hundredth of its time.
  const identifying = identify(received, services, record);
  const identified = identifying instanceof Promise ? await identifying : identifying;
  const originOwner = originOwnerOf(client.connectionAuth, request, identified.principal);
  const admitting = admit(identified, services, record);
  const admitted = admitting instanceof Promise ? await admitting : admitting;
  try {
    await forwardAdmitted(admitted, originOwner, client, services, record);
  } finally {
    admitted.permit[Symbol.dispose]();
  }
}

async function forwardAdmitted(
  admitted: AdmittedRequest<ForwardRequest>,
  originOwner: OriginOwner | undefined,
  client: ForwardResponder,
  services: Services,
  record: RecordBuilder,
): Promise<void> {
  const { request, permit } = admitted;
  const localResponse = maxForwardsResponse(request, services.identity);
  if (localResponse !== undefined) {
    return sendLocal(localResponse, client, record);
  }
  if (services.respond !== undefined) {
    record.enter('wait');
    using own = await ownResponse(services.respond, admitted, services);
    if (own !== undefined) return await sendOwn(own, client, permit, services, record);
  }
  const routing = route(admitted, services, record);
  const routed = routing instanceof Promise ? await routing : routing;
  const upgrade = upgradeOffered(request);
  record.enter('wait');
  const response = await services.exchange.send(
    {
      owner: ownerOf(admitted),
      method: request.method,
      target: request.target,
      path: request.method === 'OPTIONS' && request.path === '' ? '*' : request.path,
      headers: outgoingHeaders(request, upgrade, services),
      body: outgoingBody(request, permit, services, record),
      upgrade,
      originOwner,
      upstreamBytes: record.upstreamBytes,
      sendInterim: (head) => client.sendInterim(interimHead(head, services.identity)),
    },
    routed.routes,
    dialScope(admitted, services),
  );
  // Not `using`: for Node 22 that is compiled to a list of resources and three closures.
  try {
    await passOn(response, request, client, permit, services, record);
  } finally {
    response[Symbol.dispose]();
  }
}

async function passOn(
  response: OriginResponse,
  request: ForwardRequest,
  client: ForwardResponder,
  permit: Permit,
  services: Services,
  record: RecordBuilder,
): Promise<void> {
  record.route = response.route;
  record.address = response.address;
  if (response.upgraded !== undefined)
    return await switchProtocols(response, request, client, permit, services, record);
  const nominated = tokensOf(response.head.headers, 'connection');
  record.enter('relay');
  const shown = withoutConnectionAuth(response, client.connectionAuth, request, services, record);
  const head = outgoingResponse(shown, request, services);
  await client.respond(head, response.body, {
    onHeadWritten: () => record.responseStarted(head),
    gate: permit.down,
    trailers: (arrived) => allowedTrailers(arrived, nominated),
    silentMs: response.body?.framing.kind === 'length' ? services.timeouts.bodyMs : services.timeouts.idleMs,
    stuckMs: services.timeouts.idleMs,
    count: (bytes) => (record.down += bytes),
    // An origin that refuses wants no more of the request; any other may read on while it responds.
    upload: response.head.status < 400 ? response.sent : undefined,
  });
}

/** A response that a program has made: it passes under the limits of the request, as an origin's does. */
async function sendOwn(
  { head, body }: OwnResponse,
  client: ForwardResponder,
  permit: Permit,
  services: Services,
  record: RecordBuilder,
): Promise<void> {
  record.enter('relay');
  const { idleMs } = services.timeouts;
  await client.respond(head, body, {
    onHeadWritten: () => record.responseStarted(head),
    gate: permit.down,
    trailers: () => [],
    silentMs: idleMs,
    stuckMs: idleMs,
    count: (bytes) => (record.down += bytes),
    upload: undefined,
  });
}

/** After a 101 the connection is a tunnel like any other. */
async function switchProtocols(
  { upgraded, ...response }: OriginResponse,
  request: ForwardRequest,
  client: ForwardResponder,
  permit: Permit,
  services: Services,
  record: RecordBuilder,
): Promise<void> {
  if (upgraded === undefined) return;
  const head = outgoingResponse({ ...response, upgraded }, request, services);
  const tunnel = await client.upgrade(head);
  record.responseStarted(head);
  record.countHeads(upgraded.early.length);
  const { idleMs, lingerMs } = services.timeouts;
  record.enter('relay');
  const limits = { signal: request.signal, idleMs, lingerMs, permit, meter: record };
  const result = await services.relay.run(tunnel, upgraded, limits);
  record.end = result.end;
}

function outgoingBody(
  { body, headers, signal }: ForwardRequest,
  permit: Permit,
  services: Services,
  record: RecordBuilder,
): OutgoingBody | undefined {
  if (body === undefined) return undefined;
  const nominated = tokensOf(headers, 'connection');
  let complete = false;
  return {
    get complete() {
      return complete;
    },
    async sendTo({ wire }) {
      const bytes = await services.bodies.move(body, wire.stream, {
        head: undefined,
        coding: body.framing.kind === 'chunked' ? 'chunked' : 'raw',
        trailers: (arrived) => allowedTrailers(arrived, nominated),
        gate: permit.up,
        signal,
        silentMs: services.timeouts.requestBodyMs,
        stuckMs: services.timeouts.requestBodyMs,
        silent: 'client_too_slow',
        stuck: 'origin_timeout',
        broken: 'reset_before_head',
        count: (sent) => (record.up += sent),
      });
      complete = true;
      return bytes;
    },
  };
}
