import type { ForwardResponder, LocalResponder, Responder, TunnelResponder } from '../contracts/client.ts';
import type { ProxyError } from '../contracts/failure.ts';
import type { ForwardRequest, LocalRequest, TunnelRequest } from '../contracts/request.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { closeRecord, recordFailure } from './finish.ts';
import { withPageProtection } from './foreign-page.ts';
import { forward } from './forward.ts';
import { serveLocalPage } from './local-pages.ts';
import { RecordBuilder } from './record-builder.ts';
import { refuse, sendLocal } from './respond.ts';
import type { Services } from './services.ts';
import { openTunnel } from './tunnel.ts';

/** One CONNECT from its head to its record: a request that fails is refused and recorded here. */
export function handleTunnel(
  request: TunnelRequest,
  client: TunnelResponder,
  services: Services,
  sessions: Sessions,
): void {
  const record = new RecordBuilder(request, client, services, sessions);
  services.observe({ type: 'request', id: request.id, request });
  services.lifetime.acquire();
  openTunnel({ request }, client, services, record).then(
    (tunnel) => tunnel.relay(),
    (thrown) => {
      fail(thrown, client, services, record);
      closeRecord(services, record);
    },
  );
}

/** One plain request from its head to its record. */
export function handleForward(
  request: ForwardRequest,
  client: ForwardResponder,
  services: Services,
  sessions: Sessions,
): Promise<void> {
  const record = new RecordBuilder(request, client, services, sessions);
  services.observe({ type: 'request', id: request.id, request });
  return serve(client, services, record, () => forward({ request }, client, services, record));
}

/** One request that is for the proxy itself. */
export function handleLocal(
  request: LocalRequest,
  client: LocalResponder,
  services: Services,
  sessions: Sessions,
): Promise<void> {
  const record = new RecordBuilder(request, client, services, sessions);
  return serve(client, services, record, async () => {
    sendLocal(withPageProtection(serveLocalPage(request, services)), client, record);
  });
}

async function serve(
  client: Responder,
  services: Services,
  record: RecordBuilder,
  run: () => Promise<void>,
): Promise<void> {
  services.lifetime.acquire();
  try {
    await run();
  } catch (thrown) {
    fail(thrown, client, services, record);
  } finally {
    closeRecord(services, record);
  }
}

function fail(thrown: unknown, client: Responder, services: Services, record: RecordBuilder): void {
  answerFailure(recordFailure(thrown, services, record), client, record);
}

function answerFailure(error: ProxyError, client: Responder, record: RecordBuilder): void {
  // A response that has begun can only be aborted, so that its client does not take it for complete.
  if (client.headersSent) return client.abortResponse();
  try {
    refuse(error, client, record);
  } catch {
    client.abortResponse();
  }
}
