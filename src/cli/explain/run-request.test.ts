import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, connect, createServer as createTcp, type Server } from 'node:net';
import { after, test } from 'node:test';
import { selfSigned } from '../../../test/support/certificate.ts';
import { type ExplainPlan, explain } from './run.ts';
import type { Explanation, Step } from './steps.ts';

/** What a client sees of a proxy that runs elsewhere; the proxy is a few lines, so that its every byte is known. */
async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => server.close());
  const address = server.address();
  assert.ok(isAddress(address));
  return address.port;
}
const isAddress = (address: string | AddressInfo | null): address is AddressInfo =>
  typeof address === 'object' && address !== null;

/** Answers every CONNECT with `head`; then, if that is a 200, it is a tunnel to `port`. */
function proxy(head: string, port = 0): Server {
  return createTcp((client) => {
    client.on('error', () => {});
    client.once('data', () => {
      if (head === '') return client.destroy();
      if (port === 0) return client.end(head);
      const upstream = connect(port, '127.0.0.1', () => {
        client.write(head);
        client.pipe(upstream).pipe(client);
      });
      upstream.on('error', () => client.destroy());
      return undefined;
    });
  });
}

const OK = 'HTTP/1.1 200 OK\r\n\r\n';
const noStart = () => Promise.reject(new Error('the proxy runs already'));
const plan = (url: string, port: number, over: Partial<ExplainPlan> = {}): ExplainPlan => ({
  url: new URL(url),
  method: 'GET',
  mode: 'tunnel',
  through: new URL(`http://127.0.0.1:${port}`),
  distrusted: 'go-on',
  timeoutMs: 20_000,
  ...over,
});
const kinds = ({ steps }: Explanation): string[] =>
  steps.map((step) => (step.kind === 'head' ? `${step.mark} ${step.role}` : step.kind));
const find = <K extends Step['kind']>({ steps }: Explanation, kind: K): Extract<Step, { kind: K }> => {
  const found = steps.find((step): step is Extract<Step, { kind: K }> => step.kind === kind);
  assert.ok(found, `no step ${kind}`);
  return found;
};

const site = await listening(createHttps(selfSigned(), (_request, response) => response.end('hello')));
const clearSite = await listening(createHttp((_request, response) => response.end('hello')));

test('https: CONNECT, TLS inside it, the request inside that', async () => {
  const port = await listening(proxy(OK, site));
  const explanation = await explain(plan(`https://localhost:${site}/a?k=v`, port), noStart);
  assert.deepEqual(kinds(explanation), [
    'proxy-connected',
    '> connect',
    '< connect-response',
    'tunnel-open',
    'client-hello',
    'tls',
    '> request',
    '< response',
    'body',
    'done',
  ]);
  assert.deepEqual(
    [explanation.outcome, explanation.status, explanation.url],
    ['answered', 200, `https://localhost:${site}/a?k=•••`],
  );
  assert.equal(explanation.proxy.url, `http://127.0.0.1:${port}`);
  const [ask] = explanation.steps.filter((step) => step.kind === 'head');
  assert.deepEqual(ask?.lines, [
    `CONNECT localhost:${site} HTTP/1.1`,
    `Host: localhost:${site}`,
    'User-Agent: viaduct-explain',
  ]);
  const { serverName, alpn } = find(explanation, 'client-hello');
  assert.deepEqual([serverName, alpn], ['localhost', ['http/1.1']]);
  assert.equal(find(explanation, 'tls').distrust, 'it is signed by itself');
  assert.equal(find(explanation, 'body').bytes, 5);
  assert.ok(find(explanation, 'done').bytesUp > 500);
});

test('a certificate that is not trusted is shown, and no request is sent to it', async () => {
  const port = await listening(proxy(OK, site));
  const explanation = await explain(plan(`https://localhost:${site}/`, port, { distrusted: 'stop' }), noStart);
  assert.deepEqual(kinds(explanation).slice(-4), ['client-hello', 'tls', 'done', 'failed']);
  assert.equal(find(explanation, 'failed').who, 'you');
  assert.equal(find(explanation, 'tls').certificate?.subject, 'localhost');
});

test('plain http through a tunnel, with the first bytes of the site behind the 200', async () => {
  const early = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi';
  const port = await listening(proxy(OK + early));
  const explanation = await explain(plan('http://localhost/', port), noStart);
  assert.deepEqual(kinds(explanation).slice(3), ['tunnel-open', '> request', '< response', 'body', 'done']);
  assert.equal(find(explanation, 'body').bytes, 2);
  const clear = await listening(proxy(OK, clearSite));
  assert.equal((await explain(plan(`http://localhost:${clearSite}/`, clear), noStart)).status, 200);
});

test('a refusal is part of the explanation, with its text', async () => {
  const body = 'No such\nhost.';
  const head = `HTTP/1.1 502 Bad Gateway\r\nProxy-Status: p; error=dns_error\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n`;
  const explanation = await explain(plan('https://x.example/', await listening(proxy(head + body))), noStart);
  assert.deepEqual(kinds(explanation).slice(1), ['> connect', '< connect-response', 'body', 'failed']);
  assert.deepEqual(
    [explanation.outcome, explanation.status, find(explanation, 'body').text],
    ['failed', 502, 'No such host.'],
  );
  assert.equal(find(explanation, 'failed').who, 'the name service');
});

test('a proxy that closes, speaks another protocol, is silent, or is not there', async () => {
  const what = async (server: Server, over: Partial<ExplainPlan> = {}) => {
    const explanation = await explain(plan('https://x.example/', await listening(server), over), noStart);
    assert.equal(explanation.outcome, 'failed');
    return `${find(explanation, 'failed').who}: ${find(explanation, 'failed').what}`;
  };
  assert.equal(await what(proxy('')), 'the proxy: the connection ended without a response');
  assert.equal(await what(proxy('SSH-2.0-x\n')), 'the proxy: the status line is not HTTP/1.x SP status SP reason');
  assert.equal(
    await what(
      createTcp((client) => void client.on('error', () => {})),
      { timeoutMs: 200 },
    ),
    'the proxy: no response in time',
  );
  const gone = createTcp();
  const port = await listening(gone);
  gone.close();
  const explanation = await explain(plan('https://x.example/', port), noStart);
  assert.equal(find(explanation, 'failed').what, `it cannot be reached at 127.0.0.1:${port}: nothing listens there`);
});

test('a site that does not speak TLS', async () => {
  const port = await listening(proxy(OK, clearSite));
  const explanation = await explain(plan(`https://localhost:${clearSite}/`, port), noStart);
  assert.match(find(explanation, 'failed').what, /^the TLS handshake failed: /);
  assert.equal(find(explanation, 'failed').who, 'the site');
});
