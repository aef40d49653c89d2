import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RawOrigin } from '../../test/support/origin.ts';
import { rawClient } from '../../test/support/raw-client.ts';
import { type ProxyOptions, startProxy } from '../index.ts';
import { apiDescription } from './openapi.ts';
import type { ApiDescription, Schema } from './openapi-schemas.ts';

/** What is wrong with a value by its schema, as far as this description uses JSON Schema. */
function problems(value: unknown, schema: Schema, of: ApiDescription, at = '$'): string[] {
  if (schema.$ref !== undefined) {
    const target = of.components.schemas[schema.$ref.replace('#/components/schemas/', '')];
    return target === undefined ? [`${at}: no ${schema.$ref}`] : problems(value, target, of, at);
  }
  const types = [schema.type ?? []].flat();
  const is = Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value;
  const fits = types.some((type) => type === is || (type === 'integer' && Number.isInteger(value)));
  if (types.length > 0 && !fits) return [`${at}: ${is} is not ${types}`];
  if (schema.enum !== undefined && !schema.enum.includes(String(value))) return [`${at}: ${value} is not listed`];
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => problems(item, schema.items ?? {}, of, `${at}[${index}]`));
  }
  if (typeof value !== 'object' || value === null) return [];
  const missing = (schema.required ?? []).filter((name) => !(name in value)).map((name) => `${at}.${name} is missing`);
  const wrong = Object.entries(value).flatMap(([name, inner]) => {
    const own =
      schema.properties?.[name] ?? (typeof schema.additionalProperties === 'object' && schema.additionalProperties);
    if (own) return problems(inner, own, of, `${at}.${name}`);
    return schema.additionalProperties === false ? [`${at}.${name} is not described`] : [];
  });
  return [...missing, ...wrong];
}

const settings: ProxyOptions = {
  access: [{ name: 'ads', deny: { hosts: ['.ads.example'] } }],
  credentials: { lab: { user: 'me', from: 'env:PATH' } },
  routes: { rules: [{ hosts: ['.corp.example'], via: 'PROXY proxy.corp.example:8080' }] },
  admin: { listen: '127.0.0.1:0' },
  limits: {
    bandwidth: { rate: '1MiB' },
    tunnels: { total: 5, client: 4 },
    requests: { per: 'client', rate: 1000 },
    quota: { per: 'client', bytes: '1GiB', every: '1d' },
  },
};

test('the description of the API is what the server does: every path, every response', async () => {
  await using target = await RawOrigin.listen((peer) => peer.send('hello'));
  await using proxy = await startProxy(settings);
  const { url = '', token = '' } = proxy.admin ?? {};
  const described = apiDescription('0.0.0');
  const ask = async (path: string, method = 'GET', json?: unknown) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const response = await fetch(url + path, {
      method,
      headers,
      body: json === undefined ? null : JSON.stringify(json),
    });
    const type = response.headers.get('content-type') ?? '';
    const text = await response.text();
    return { status: response.status, json: type === 'application/json' ? JSON.parse(text) : undefined };
  };
  using client = await rawClient(proxy.port);
  client.send(`CONNECT 127.0.0.1:${target.port} HTTP/1.1\r\nHost: 127.0.0.1:${target.port}\r\n\r\n`);
  await client.until('hello');
  const [row] = (await ask('/api/tunnels')).json.tunnels;
  const [limit] = (await ask('/api/limits')).json.limits;
  const calls: [template: string, path: string, method?: string, json?: unknown][] = [
    ['/healthz', '/healthz'],
    ['/readyz', '/readyz'],
    ['/metrics', '/metrics'],
    ['/api/openapi.json', '/api/openapi.json'],
    ['/api/session', '/api/session', 'POST', { code: 'none' }],
    ['/api/link', '/api/link', 'POST'],
    ['/api/token', '/api/token'],
    ['/api/token', '/api/token', 'POST'],
    ['/api/status', '/api/status'],
    ['/api/tunnels', '/api/tunnels?closed=1'],
    ['/api/limits', '/api/limits'],
    ['/api/limits/{name}', `/api/limits/${limit.name}`, 'PUT', { rate: 1000 }],
    ['/api/limits/{name}', '/api/limits/none', 'PUT', { rate: 1000 }],
    ['/api/upstreams', '/api/upstreams'],
    ['/api/pac', '/api/pac'],
    ['/api/rules', '/api/rules'],
    ['/api/credentials', '/api/credentials'],
    ['/api/totals', '/api/totals?by=host&window=day'],
    ['/api/totals', '/api/totals?by=none'],
    ['/api/why', `/api/why?url=${encodeURIComponent('http://127.0.0.1:9/')}`],
    ['/api/why', '/api/why?url=ftp://a'],
    ['/api/mode', '/api/mode'],
    ['/api/mode', '/api/mode', 'POST', { mode: 'direct', for: '15m' }],
    ['/api/mode', '/api/mode', 'PUT', { mode: 'proxy' }],
    ['/api/mode', '/api/mode', 'PUT', { mode: 'none' }],
    ['/api/explain', '/api/explain', 'POST', { url: 'http://127.0.0.1:9/' }],
    ['/api/config', '/api/config'],
    ['/api/reload', '/api/reload', 'POST'],
    ['/api/drain', '/api/drain', 'POST'],
    ['/api/tunnels/{id}/steps', `/api/tunnels/${row.id}/steps`],
    ['/api/tunnels/end', '/api/tunnels/end', 'POST', { ids: ['none'] }],
    ['/api/tunnels/{id}', `/api/tunnels/${row.id}`, 'DELETE', { reason: 'a test' }],
    ['/api/tunnels/{id}', '/api/tunnels/none', 'DELETE'],
  ];
  for (const [template, path, method = 'GET', json] of calls) {
    const where = `${method} ${path}`;
    const operation = described.paths[template]?.[method.toLowerCase()];
    assert.ok(operation, where);
    const answer = await ask(path, method, json);
    const response = Object(operation.responses[String(answer.status)]);
    assert.ok(response.description, `${where}: ${answer.status} is not described`);
    const schema = response.content?.['application/json']?.schema;
    if (schema !== undefined) assert.deepEqual(problems(answer.json, schema, described), [], where);
    // Without the token only what says so.
    const isOpen = operation.security !== undefined;
    const bare = await fetch(url + path, { method, headers: { 'content-type': 'application/json' } });
    await bare.arrayBuffer();
    if (!isOpen) assert.equal(bare.status, 401, where);
  }
  await client.ended();
  const tried = new Set(calls.map(([template, , method = 'GET']) => `${method.toLowerCase()} ${template}`));
  const all = Object.entries(described.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method} ${path}`),
  );
  assert.deepEqual(
    all.filter((one) => !tried.has(one)),
    ['get /api/events'],
  );
  for (const [name, data] of await eventsOf(url, token)) {
    assert.deepEqual(problems(data, { $ref: `#/components/schemas/${name}` }, described), [], name);
  }
  const served = (await ask('/api/openapi.json')).json;
  assert.deepEqual(Object.keys(served.paths), Object.keys(described.paths));
});

/** The first event of a stream, and the one behind it. */
async function eventsOf(url: string, token: string): Promise<(readonly [schema: string, data: unknown])[]> {
  const { body } = await fetch(`${url}/api/events`, { headers: { authorization: `Bearer ${token}` } });
  assert.ok(body);
  let text = '';
  for await (const chunk of body) {
    text += Buffer.from(chunk).toString('utf8');
    const found = [...text.matchAll(/^event: (snapshot|change)\ndata: (.*)\n\n/gm)];
    if (found.length < 2) continue;
    return found.map(([, name, data = '']) => [name === 'snapshot' ? 'Snapshot' : 'Change', JSON.parse(data)] as const);
  }
  return [];
}

test('a program has no admin address unless it asks for one', async () => {
  await using proxy = await startProxy();
  assert.equal(proxy.admin, undefined);
});
