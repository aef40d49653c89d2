import type { ProxyRecord } from '../../src/contracts/record.ts';

/** The record of a tunnel that has ended well, with `more` instead of what a test is about. */
export const recordOf = (id: string, more: Partial<ProxyRecord> = {}): ProxyRecord => ({
  id,
  kind: 'tunnel',
  protocol: 'http/1.1',
  startedAt: new Date(0),
  durationMs: 7,
  client: { address: '127.0.0.1', port: 1, listener: 'http://127.0.0.1:3128' },
  method: 'CONNECT',
  limits: [],
  status: 200,
  bytesUp: 1,
  bytesDown: 2,
  timings: {},
  ...more,
});
