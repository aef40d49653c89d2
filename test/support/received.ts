import { credentialsIn } from '../../src/clients/http/credentials.ts';
import type { Headers } from '../../src/contracts/request.ts';
import type { ReceivedRequest } from '../../src/contracts/stages.ts';

/** A request as a listener hands it over: `CONNECT a.example:443` from 127.0.0.1, unless a test says otherwise. */
export function received({
  headers = [],
  from = '127.0.0.1',
  listener = 'http://127.0.0.1:3128',
}: {
  headers?: Headers;
  from?: string;
  listener?: string;
} = {}): ReceivedRequest {
  return {
    request: {
      id: 'test',
      kind: 'tunnel',
      method: 'CONNECT',
      protocol: 'http/1.1',
      credentials: credentialsIn(headers),
      headers,
      target: { host: 'a.example', port: 443 },
      client: { address: from, port: 50_000, listener },
      signal: new AbortController().signal,
      startedMs: 0,
      requestTarget: 'a.test:443',
    },
  };
}
