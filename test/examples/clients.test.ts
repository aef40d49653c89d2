/** undici, got and axios through a proxy that rotates upstream proxies, to plain and to secure origins. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Server } from 'node:net';
import { after, before, test } from 'node:test';
import axios from 'axios';
import got from 'got';
import { fetch, ProxyAgent } from 'undici';
import { agentsVia, fetchVia, startProxy, type ViaductProxy } from '../../src/index.ts';
import { selfSigned } from '../support/certificate.ts';
import { type ForwardProxy, forwardProxy } from '../support/forward-proxy.ts';

const CERTIFICATE = selfSigned();
const ca = CERTIFICATE.cert;
const origins = [
  createServer((request, response) => response.end(`plain ${request.method}`)),
  createTlsServer(CERTIFICATE, (request, response) => response.end(`secure ${request.method}`)),
];
const urls: string[] = [];
let exits: readonly [ForwardProxy, ForwardProxy];
let proxy: ViaductProxy;

async function portOf(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

before(async () => {
  const [plain = 0, secure = 0] = await Promise.all(origins.map(portOf));
  urls.push(`http://127.0.0.1:${plain}/`, `https://127.0.0.1:${secure}/`);
  exits = [await forwardProxy(), await forwardProxy()];
  let next = 0;
  proxy = await startProxy({
    authenticate: ({ username, password }) => (password === 'p%a:s' ? { id: username } : null),
    route: () => `http://127.0.0.1:${exits[next++ % 2]?.port}`,
  });
});
after(async () => {
  await proxy.close();
  for (const exit of exits) await exit[Symbol.asyncDispose]();
  for (const server of origins) server.close().closeAllConnections();
});

const loggedIn = (): string => proxy.url.replace('//', `//ann:${encodeURIComponent('p%a:s')}@`);

type Ask = (url: string) => Promise<string>;
const CLIENTS: Readonly<Record<string, () => { ask: Ask; close: () => unknown }>> = {
  undici() {
    const dispatcher = new ProxyAgent({ uri: loggedIn(), requestTls: { ca } });
    return { ask: async (url) => (await fetch(url, { dispatcher })).text(), close: () => dispatcher.close() };
  },
  fetchVia() {
    const viaProxy = fetchVia(loggedIn(), { targetTls: { ca } });
    return { ask: async (url) => (await viaProxy(url)).text(), close: () => viaProxy[Symbol.asyncDispose]() };
  },
  got() {
    const { httpAgent: http, httpsAgent: https } = agentsVia(loggedIn(), { targetTls: { ca } });
    const ask: Ask = (url) => got(url, { agent: { http, https } }).text();
    return { ask, close: () => [http, https].map((agent) => agent.destroy()) };
  },
  axios() {
    const { httpAgent, httpsAgent } = agentsVia(loggedIn(), { targetTls: { ca } });
    const ask: Ask = async (url) => (await axios.get(url, { httpAgent, httpsAgent, proxy: false })).data;
    return { ask, close: () => [httpAgent, httpsAgent].map((agent) => agent.destroy()) };
  },
};

for (const [name, make] of Object.entries(CLIENTS)) {
  test(`${name} reaches plain and secure origins, with a login, by two upstream proxies in turns`, async () => {
    const client = make();
    const before = exits.map(({ requests }) => requests);
    const said: string[] = [];
    for (const url of urls) said.push(await client.ask(url));
    await client.close();
    assert.deepEqual(said, ['plain GET', 'secure GET']);
    assert.deepEqual(
      exits.map(({ requests }, at) => requests - (before[at] ?? 0)),
      [1, 1],
    );
  });
}
