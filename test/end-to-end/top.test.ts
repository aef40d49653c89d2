/** `viaduct top` against a server of the shape that the admin API has. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, ListenOptions } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { viaductEnds } from '../support/cli.ts';
import { temporaryFolder } from '../support/temporary.ts';

const TOKEN = 'the-token';
const row = {
  id: 'abc-1',
  kind: 'tunnel',
  method: 'CONNECT',
  target: 'example.com:443',
  client: '127.0.0.1',
  route: 'direct',
  state: 'relay',
  startedAt: new Date().toISOString(),
  bytesUp: 1024,
  bytesDown: 2048,
  rateUp: 0,
  rateDown: 512,
};
const counters = { open: 1, rateUp: 0, rateDown: 512, requestsPerSecond: 0 };

const events: RequestListener = (request, response) => {
  // The record of a proxy counts when its control socket answers.
  if (request.url === '/healthz') return void response.end('{"status":"ok"}');
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const text = `: hello\n\nevent: snapshot\ndata: ${JSON.stringify({ counters, tunnels: [row], closed: [] })}\n\n`;
  // In two parts, as the network may cut it.
  response.write(text.slice(0, 40));
  setImmediate(() => response.write(text.slice(40)));
};

const withToken: RequestListener = (request, response) => {
  if (request.headers.authorization === `Bearer ${TOKEN}`) events(request, response);
  else response.writeHead(401).end();
};

async function listening(answer: RequestListener, on: ListenOptions): Promise<Server & AsyncDisposable> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(on, resolve));
  return Object.assign(server, {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

test('without a terminal top prints the table once, over the address of --url with a token', async () => {
  await using server = await listening(withToken, { port: 0, host: '127.0.0.1' });
  using folder = temporaryFolder();
  const { port } = server.address() as AddressInfo;
  const top = (environment: Record<string, string>) =>
    viaductEnds(['top', '--url', `http://127.0.0.1:${port}`], { XDG_STATE_HOME: folder.path, ...environment });
  const { code, out, err } = await top({ VIADUCT_ADMIN_TOKEN: TOKEN });
  assert.equal(code, 0, err);
  assert.match(out, /^viaduct {2}1 open {2}down 512 B\/s/);
  assert.match(out, /512 B\/s +2\.0 KiB +1\.0 KiB .* CONNECT example\.com:443$/m);
  const refused = await top({});
  assert.equal(refused.code, 1);
  assert.equal(refused.err, 'viaduct: the proxy wants a token; set VIADUCT_ADMIN_TOKEN\n');
  mkdirSync(join(folder.path, 'viaduct'));
  writeFileSync(join(folder.path, 'viaduct', 'admin-token'), `${TOKEN}\n`, { mode: 0o600 });
  assert.equal((await top({})).code, 0);
});

test('where nothing listens top says so, and where the address stands', async () => {
  const server = await listening(events, { port: 0, host: '127.0.0.1' });
  const { port } = server.address() as AddressInfo;
  await server[Symbol.asyncDispose]();
  const { code, err } = await viaductEnds(['top', '--url', `127.0.0.1:${port}`]);
  assert.deepEqual(
    [code, err],
    [
      1,
      `viaduct: nothing listens at http://127.0.0.1:${port}; the line "dashboard on" of viaduct run has the address\n`,
    ],
  );
});

test('top finds the control socket of the proxy that runs, and needs no token there', {
  skip: process.platform === 'win32' && 'Windows has no control socket',
}, async () => {
  using folder = temporaryFolder();
  const control = join(folder.path, 'control.sock');
  await using _server = await listening(events, { path: control });
  const instances = join(folder.path, 'viaduct', 'instances');
  mkdirSync(instances, { recursive: true });
  const record = { pid: process.pid, version: '0', startedAt: '', listeners: ['http://127.0.0.1:3128'], control };
  writeFileSync(join(instances, `${process.pid}.json`), JSON.stringify(record));
  const top = (...words: string[]) => viaductEnds(['top', ...words], { XDG_STATE_HOME: folder.path });
  assert.match((await top()).out, /CONNECT example\.com:443/);
  assert.equal((await top('--port', '3128')).code, 0);
  const none = await top('--port', '1');
  assert.equal(none.code, 2);
  assert.match(none.err, /no proxy of this user is running on port 1; start one with viaduct run/);
});
