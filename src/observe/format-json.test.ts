import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { ProxyRecord } from '../contracts/record.ts';
import { jsonRecord } from './format-json.ts';

const everything: ProxyRecord = {
  id: 'r1',
  kind: 'forward',
  protocol: 'http/1.1',
  startedAt: new Date(0),
  durationMs: 1,
  client: {
    address: '127.0.0.1',
    port: 1,
    listener: 'https://127.0.0.1:3128',
    tls: { version: 'TLSv1.3', user: 'alice' },
  },
  principal: 'alice',
  method: 'GET',
  target: { host: 'example.org', port: 80 },
  url: 'http://example.org/',
  userAgent: 'x',
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  rule: 'r',
  wouldDeny: 'w',
  wouldAllow: 'v',
  limits: ['l'],
  route: { via: 'direct' },
  address: '192.0.2.7',
  status: 502,
  failure: 'shutdown',
  detail: 'd',
  bytesUp: 0,
  bytesDown: 0,
  end: 'idle',
  timings: {},
};

test('docs/access-log.md names every field, and no other', () => {
  const page = readFileSync(`${root()}docs/access-log.md`, 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| `'));
  const documented = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name));
  assert.deepEqual(documented.sort(), Object.keys(JSON.parse(jsonRecord(everything))).sort());
});

/** Compiled tests lie elsewhere, so the root is looked for. */
function root(): string {
  let folder = new URL('./', import.meta.url);
  while (folder.pathname !== '/' && !existsSync(new URL('docs/access-log.md', folder))) folder = new URL('../', folder);
  return folder.pathname;
}
