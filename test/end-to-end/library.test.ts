import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, get } from 'node:http';
import { createServer as createTcpServer, type Server as NetServer } from 'node:net';
import { test } from 'node:test';
import { agentsVia, connectVia, fetchVia, ProxyError, type ProxyRecord, startProxy } from '../../src/index.ts';

async function listening(server: NetServer): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

test('connectVia gives a socket that carries bytes both ways, the ones that came first included', async () => {
  const speaksFirst = createTcpServer((socket) => socket.end('hello before you ask'));
  const port = await listening(speaksFirst);
  await using proxy = await startProxy();
  const closed = new Promise((resolve) => proxy.once('close', resolve));
  const socket = await connectVia(proxy.url, `127.0.0.1:${port}`);
  socket.end();
  let text = '';
  for await (const chunk of socket) text += chunk;
  assert.equal(text, 'hello before you ask');
  // A proxy that is stopped at once resets tunnels whose last FIN is still on its way.
  await closed;
  speaksFirst.close();
});

test('connectVia reports a refusal by its code, and never hangs on a proxy that sends nothing', async () => {
  await using proxy = await startProxy({ authorize: (ctx) => ctx.deny('no client may') });
  await assert.rejects(connectVia(proxy.url, 'example.com:443'), {
    code: 'upstream_refused',
    clientDetail: 'It responded with 403.',
  });
  const silent = createTcpServer((socket) => socket.on('error', () => undefined));
  const url = `http://127.0.0.1:${await listening(silent)}`;
  await assert.rejects(connectVia(url, 'example.com:443', { timeoutMs: 50 }), { code: 'connect_timeout' });
  const reason = new Error('changed my mind');
  await assert.rejects(connectVia(url, 'example.com:443', { signal: AbortSignal.abort(reason) }), reason);
  silent.close();
});

test('fetchVia and agentsVia reach a plain origin through tunnels where all is asked for', async () => {
  const origin = createServer((request, response) => response.end(`you asked for ${request.url}`));
  const port = await listening(origin);
  await using proxy = await startProxy();
  const targets: string[] = [];
  proxy.on('established', ({ id }) => targets.push(id));
  {
    await using fetch = fetchVia(proxy.url, { tunnel: 'all' });
    const response = await fetch(`http://127.0.0.1:${port}/a`);
    assert.equal(await response.text(), 'you asked for /a');
  }
  const { httpAgent, httpsAgent } = agentsVia(proxy.url, { tunnel: 'all' });
  const [response] = await once(get({ host: '127.0.0.1', port, path: '/b', agent: httpAgent }), 'response');
  let text = '';
  for await (const chunk of response) text += chunk;
  assert.equal(text, 'you asked for /b');
  assert.equal(targets.length, 2);
  httpAgent.destroy();
  httpsAgent.destroy();
  origin.close();
});

test('every request ends in one close event that carries its record', async () => {
  const origin = createServer((_request, response) => response.end('ok'));
  const port = await listening(origin);
  const proxy = await startProxy();
  const records: ProxyRecord[] = [];
  proxy.on('close', ({ record }) => records.push(record));
  await using fetch = fetchVia(proxy.url, { tunnel: 'all' });
  await (await fetch(`http://127.0.0.1:${port}/`)).text();
  await connectVia(proxy.url, '127.0.0.1:1').catch(() => undefined);
  await proxy.close();
  assert.deepEqual(
    records.map(({ method, status, failure }) => [method, status, failure]),
    [
      ['CONNECT', 502, 'connection_refused'],
      ['CONNECT', 200, undefined],
    ],
  );
  origin.close();
});

test('a hook that throws has refused, and a wrong option is named', async () => {
  await using proxy = await startProxy({
    authorize() {
      throw new Error('the directory is down');
    },
  });
  await assert.rejects(
    connectVia(proxy.url, 'example.com:443'),
    (error) => error instanceof ProxyError && error.clientDetail === 'It responded with 500.',
  );
  await assert.rejects(startProxy({ timeouts: { idle: 'soon' } }), /timeouts\.idle/);
});

test('a hook that never answers keeps neither its request nor its slot', async () => {
  const origin = createTcpServer((socket) => socket.on('error', () => undefined).end('here'));
  const port = await listening(origin);
  let asked = 0;
  await using proxy = await startProxy({
    limits: { tunnels: { total: 1, wait: 0 } },
    limit: () => (++asked === 1 ? new Promise(() => undefined) : {}),
  });
  const ended = new Promise<ProxyRecord>((resolve) => proxy.once('close', ({ record }) => resolve(record)));
  await assert.rejects(connectVia(proxy.url, `127.0.0.1:${port}`, { timeoutMs: 100 }), { code: 'connect_timeout' });
  assert.equal((await ended).failure, 'client_gone');
  const socket = await connectVia(proxy.url, `127.0.0.1:${port}`);
  socket.end();
  let text = '';
  for await (const chunk of socket) text += chunk;
  assert.equal(text, 'here');
  origin.close();
});

test('aborting the signal closes the proxy', async () => {
  const controller = new AbortController();
  const proxy = await startProxy({ signal: controller.signal });
  controller.abort(new Error('enough'));
  await assert.rejects(connectVia(proxy.url, 'example.com:443'), { code: 'connect_failed' });
  await assert.rejects(startProxy({ signal: controller.signal }), /enough/);
});

test('a list in a list is refused by what takes one route, with the reason', () => {
  const nested: unknown = [['http://127.0.0.1:1', 'direct']];
  const refused = (error: unknown) =>
    error instanceof ProxyError &&
    error.code === 'no_route' &&
    /^has a list in a list: here a list is one chain/.test(error.detail);
  for (const via of [fetchVia, agentsVia]) assert.throws(() => Reflect.apply(via, undefined, [nested]), refused);
});
