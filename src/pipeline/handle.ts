import type { ForwardResponder, LocalResponder, Responder, TunnelResponder } from '../contracts/client.ts';
import { asProxyError, type ProxyError } from '../contracts/failure.ts';
import { traceOf } from '../contracts/hook-failure.ts';
import type { ForwardRequest, LocalRequest, TunnelRequest } from '../contracts/request.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { withPageProtection } from './foreign-page.ts';
import { forward } from './forward.ts';
import { serveLocalPage } from './local-pages.ts';
import { RecordBuilder } from './record-builder.ts';
import { refuse, sendLocal } from './respond.ts';
import type { Services } from './services.ts';
import { connectTunnel } from './tunnel.ts';

/** One CONNECT from its head to its record. Never rejects: a request that fails is refused and recorded here. */
export function handleTunnel(
  request: TunnelRequest,
  client: TunnelResponder,
  services: Services,
  sessions: Sessions,
): Promise<void> {
  const record = new RecordBuilder(request, client, services, sessions);
  services.observe({ type: 'request', id: request.id, request });
  return serve(client, services, record, () => connectTunnel({ request }, client, services, record));
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
  // Until the record is closed: a reload meanwhile must not dispose what this request and its record use.
  services.lifetime.acquire();
  try {
    await run();
  } catch (thrown) {
    const error = asProxyError(thrown);
    record.fail(error);
    // A fault of ours, or of the program that runs the proxy: its author needs all of it, and the client gets nothing.
    if (error.code === 'internal' || error.code === 'hook_failed') {
      const { id } = record;
      services.observe({ type: 'notice', level: 'error', message: `request ${id}: ${traceOf(error)}`, id });
    }
    answerFailure(error, client, record);
  } finally {
    record.close();
    services.lifetime.release();
  }
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
