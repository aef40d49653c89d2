import { asProxyError, type ProxyError } from '../contracts/failure.ts';
import { traceOf } from '../contracts/hook-failure.ts';
import type { RecordBuilder } from './record-builder.ts';
import type { Services } from './services.ts';

/** Only then the request gives its generation back: a reload meanwhile must not dispose what it and its record use. */
export function closeRecord(services: Services, record: RecordBuilder): void {
  try {
    record.close();
  } finally {
    services.lifetime.release();
  }
}

export function recordFailure(thrown: unknown, services: Services, record: RecordBuilder): ProxyError {
  const error = asProxyError(thrown);
  record.fail(error);
  // A fault of ours, or of the program that runs the proxy: its author needs all of it, and the client gets nothing.
  if (error.code === 'internal' || error.code === 'hook_failed') {
    const { id } = record;
    services.observe({ type: 'notice', level: 'error', message: `request ${id}: ${traceOf(error)}`, id });
  }
  return error;
}
