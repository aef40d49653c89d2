import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { ProxyRecord } from '../contracts/record.ts';
import { commonDropped, commonRecord, squidRecord } from './format-common.ts';
import { jsonDropped, jsonRecord } from './format-json.ts';
import { colourful, plain, prettyDropped, prettyRecord } from './format-pretty.ts';

process.env.TZ = 'UTC';

const tunnel: ProxyRecord = {
  id: 'r1',
  kind: 'tunnel',
  protocol: 'http/1.1',
  startedAt: new Date('2026-03-01T12:00:00.250Z'),
  durationMs: 2500.04,
  client: { address: '127.0.0.1', port: 50_000, listener: 'http://127.0.0.1:3128' },
  method: 'CONNECT',
  target: { host: 'example.org', port: 443 },
  userAgent: 'curl/8.5.0',
  rule: 'default',
  limits: [],
  route: { via: 'direct' },
  address: '192.0.2.7',
  status: 200,
  bytesUp: 1229,
  bytesDown: 1_048_576,
  end: 'client',
  timings: { route: 1.23, connect: 20.06, relay: 2000 },
};
const get: ProxyRecord = {
  ...tunnel,
  kind: 'forward',
  method: 'GET',
  target: { host: 'example.org', port: 80 },
  url: 'http://example.org/a?token=secret',
  durationMs: 30,
  bytesUp: 0,
  bytesDown: 512,
  timings: {},
};
const refused: ProxyRecord = {
  ...tunnel,
  client: { address: '10.1.2.3', port: 50_000, listener: 'http://10.0.0.1:3128' },
  principal: 'alice',
  status: 403,
  failure: 'denied',
  rule: 'ads',
  durationMs: 0.31,
  bytesUp: 0,
  bytesDown: 0,
  timings: {},
};
const { route: _route, address: _address, end: _end, ...refusedEarly } = refused;

test('pretty: what was transferred, how long it took and how fast', () => {
  assert.equal(
    prettyRecord(tunnel, plain),
    '12:00:02 CONNECT example.org:443                      200 ↑ 1.2 KiB ↓ 1.0 MiB    2.50 s  513 KiB/s',
  );
});

test('pretty: a plain request by its URL, without the query', () => {
  assert.equal(
    prettyRecord(get, plain),
    '12:00:00 GET     http://example.org/a                 200 ↑     0 B ↓   512 B     30 ms   17 KiB/s',
  );
});

test('pretty: why it failed, who asked, and a rule that would have denied it', () => {
  assert.equal(
    prettyRecord({ ...refusedEarly, wouldDeny: 'night' }, plain),
    '12:00:00 CONNECT example.org:443                      403 ↑     0 B ↓     0 B    0.3 ms          - ' +
      'denied: rule ads; rule night would deny; alice@10.1.2.3',
  );
  assert.match(prettyRecord({ ...tunnel, end: 'idle' }, plain), /s closed: idle$/);
  const proxied: ProxyRecord = {
    ...tunnel,
    route: { via: 'proxies', hops: [{ scheme: 'http', proxy: { host: '2001:db8::1', port: 8080 }, namedBy: 'user' }] },
  };
  assert.match(prettyRecord(proxied, plain), / via http:\/\/\[2001:db8::1\]:8080$/);
});

test('pretty: colours when asked for', () => {
  assert.match(prettyRecord(tunnel, colourful), /\x1b\[32m200\x1b\[0m/);
  assert.match(prettyRecord(refused, colourful), /\x1b\[31m403\x1b\[0m/);
});

test('pretty: no line is left out when a request never became one', () => {
  const { target: _target, ...lost } = { ...refusedEarly, kind: 'malformed', method: '', status: 400 } as const;
  assert.match(
    prettyRecord({ ...lost, failure: 'bad_request', detail: 'target has no port' }, plain),
    /^12:00:00 - {7}-/,
  );
});

test('json: every field by its promised name, and nothing for what is unknown', () => {
  assert.deepEqual(JSON.parse(jsonRecord(tunnel)), {
    time: '2026-03-01T12:00:00.250Z',
    type: 'request',
    id: 'r1',
    kind: 'tunnel',
    client: '127.0.0.1',
    clientPort: 50_000,
    listener: 'http://127.0.0.1:3128',
    method: 'CONNECT',
    target: 'example.org:443',
    protocol: 'HTTP/1.1',
    userAgent: 'curl/8.5.0',
    rule: 'default',
    route: 'direct',
    upstreamAddress: '192.0.2.7',
    status: 200,
    end: 'client',
    bytesUp: 1229,
    bytesDown: 1_048_576,
    durationMs: 2500,
    bytesPerSecond: 419915,
    timings: { route: 1.2, connect: 20.1, relay: 2000 },
  });
  assert.equal(JSON.parse(jsonRecord(get)).url, 'http://example.org/a');
});

test('clf: the NCSA common format', () => {
  assert.equal(
    commonRecord(tunnel),
    '127.0.0.1 - - [01/Mar/2026:12:00:00 +0000] "CONNECT example.org:443 HTTP/1.1" 200 1048576',
  );
  assert.equal(
    commonRecord(refused),
    '10.1.2.3 - alice [01/Mar/2026:12:00:00 +0000] "CONNECT example.org:443 HTTP/1.1" 403 -',
  );
});

test('squid: the native format', () => {
  const squid = (over: Partial<ProxyRecord>, base = tunnel) => squidRecord({ ...base, ...over });
  assert.equal(
    squid({}),
    '1772366402.750   2500 127.0.0.1 TCP_TUNNEL/200 1048576 CONNECT example.org:443 - HIER_DIRECT/192.0.2.7 -',
  );
  assert.equal(
    squid({}, get),
    '1772366400.280     30 127.0.0.1 TCP_MISS/200 512 GET http://example.org/a - HIER_DIRECT/192.0.2.7 -',
  );
  assert.equal(
    squidRecord(refusedEarly),
    '1772366400.250      0 10.1.2.3 TCP_DENIED/403 0 CONNECT example.org:443 alice HIER_NONE/- -',
  );
  assert.match(squid({ failure: 'client_gone', status: 0 }, get), / TCP_MISS_ABORTED\/000 /);
  assert.match(
    squid({ kind: 'malformed', method: '', status: 400 }),
    / NONE_NONE\/400 1048576 - error:invalid-request /,
  );
  const hops = [{ scheme: 'http', proxy: { host: 'proxy.corp', port: 8080 }, namedBy: 'user' }] as const;
  assert.match(squid({ route: { via: 'proxies', hops } }), / FIRSTUP_PARENT\/proxy\.corp -$/);
});

test('no client forges a line, a field, or drives the terminal', () => {
  const evil = 'x" 200 0 "FAKE\r\n1.2.3.4 - - \x1b]0;owned\x07\x9b31m';
  const record: ProxyRecord = {
    ...get,
    method: evil,
    url: `http://example.org/${evil}`,
    userAgent: evil,
    principal: evil,
    rule: evil,
    wouldDeny: evil,
    detail: evil,
    failure: 'denied',
  };
  const own = /[↑↓]/g;
  for (const line of [prettyRecord(record, plain), jsonRecord(record), commonRecord(record), squidRecord(record)]) {
    assert.match(line.replace(own, ''), /^[\x20-\x7e]+$/);
  }
  assert.equal(squidRecord(record).split(/ +/).length, 10);
  assert.equal(JSON.parse(jsonRecord(record)).userAgent, evil);
  assert.equal(commonRecord(record).replace(/\\./g, '').split('"').length, 3);
  assert.equal(JSON.parse(jsonRecord({ ...get, userAgent: 'x" 200 0 "FAKE' })).userAgent, 'x" 200 0 "FAKE');
});

test('a gap has its number of lines, in each format', () => {
  assert.equal(prettyDropped(3, plain), '* 3 lines are missing here: the log was too slow');
  assert.equal(jsonDropped(3, new Date(0)), '{"time":"1970-01-01T00:00:00.000Z","type":"dropped","lines":3}');
  assert.equal(commonDropped(3), '# viaduct: 3 lines are missing here: the log was too slow');
});

/**
 * A line as GoAccess reads it by its `--log-format`: a specifier takes what stands before the character behind it, `%^`
 * throws that away, `%~` passes over blanks. `undefined`: the line does not fit.
 */
function byGoAccess(format: string, line: string): Record<string, string> | undefined {
  const fields: Record<string, string> = {};
  let at = 0;
  for (let next = 0; next < format.length; next++) {
    if (format[next] !== '%') {
      if (line[at] !== format[next]) return undefined;
      at += 1;
      continue;
    }
    const specifier = format[++next] ?? '';
    if (specifier === '~') {
      while (line[at] === ' ') at += 1;
      continue;
    }
    const delimiter = format[next + 1];
    const end = delimiter === undefined ? line.length : line.indexOf(delimiter, at);
    if (end < 0) return undefined;
    if (specifier !== '^') fields[specifier] = line.slice(at, end);
    at = end;
  }
  return fields;
}

test('squid: GoAccess reads it by the form that docs/access-log.md gives', () => {
  // Compiled tests lie elsewhere, so the page is looked for.
  let folder = new URL('./', import.meta.url);
  while (folder.pathname !== '/' && !existsSync(new URL('docs/access-log.md', folder))) folder = new URL('../', folder);
  const page = readFileSync(new URL('docs/access-log.md', folder), 'utf8');
  const format = /--log-format='([^']+)'/.exec(page)?.[1] ?? '';
  const read = (record: ProxyRecord) => byGoAccess(format, squidRecord(record));
  assert.deepEqual(read(tunnel), {
    x: '1772366402',
    L: '2500',
    h: '127.0.0.1',
    s: '200',
    b: '1048576',
    m: 'CONNECT',
    U: 'example.org:443',
    e: '-',
  });
  assert.deepEqual(
    read({ ...get, durationMs: 1_234_567, principal: 'ann', client: { ...get.client, address: '2001:db8::1' } }),
    {
      x: '1772367634',
      L: '1234567',
      h: '2001:db8::1',
      s: '200',
      b: '512',
      m: 'GET',
      U: 'http://example.org/a',
      e: 'ann',
    },
  );
  assert.equal(read(refusedEarly)?.s, '403');
});
