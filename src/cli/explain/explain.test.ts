import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { Server } from 'node:net';
import { after, test } from 'node:test';
import { selfSigned } from '../../../test/support/certificate.ts';
import { FLAGS } from '../../config/flags.ts';
import { UsageError } from '../print.ts';
import { planOf, starter } from './explain.ts';
import { explain } from './run.ts';
import type { Explanation } from './steps.ts';

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

const options = (...flags: (readonly [string, string])[]): ReadonlyMap<string, readonly string[]> =>
  new Map(flags.map(([name, value]) => [name, [value]]));
const plan = (url: string, ...flags: (readonly [string, string])[]) =>
  planOf({ operands: [url], options: options(...flags) });
/** Neither the machine's configuration nor its variables reach the proxy. */
const start = starter({ settings: [] }, { XDG_CONFIG_HOME: '/nonexistent' });
const kinds = ({ steps }: Explanation): string[] =>
  steps.map((step) => (step.kind === 'head' ? `${step.mark} ${step.role}` : step.kind));

test('the command line is a plan', () => {
  const { url, method, mode, through, distrusted } = plan(
    'example.org/a',
    ['through', 'localhost:8080'],
    ['insecure', ''],
  );
  assert.deepEqual(
    [url.href, method, mode, through?.href, distrusted],
    ['https://example.org/a', 'GET', 'tunnel', 'http://localhost:8080/', 'go-on'],
  );
  assert.equal(plan('http://example.org').mode, 'absolute-form');
  assert.equal(plan('http://example.org', ['through', 'socks5://localhost']).mode, 'tunnel');
  assert.equal(plan('http://example.org', ['tunnel', '']).mode, 'tunnel');
  assert.equal(plan('http://example.org', ['method', 'HEAD']).method, 'HEAD');
});

test('what cannot be explained is wrong usage', () => {
  for (const url of ['', 'http://', 'ftp://example.org/', 'http://exa mple.org']) {
    assert.throws(() => plan(url), UsageError, url);
  }
  assert.throws(() => plan('https://example.org', ['method', 'CONNECT']), UsageError);
  assert.throws(() => plan('https://example.org', ['method', 'GET x']), UsageError);
  assert.throws(() => plan('https://example.org', ['through', 'ftp://localhost']), UsageError);
  assert.throws(() => plan('https://example.org', ['through', 'http://localhost'], ['ca', 'x.pem']), UsageError);
});

test('https through a proxy of our own: its work stands between the request and its response', async () => {
  const port = await listening(createHttps(selfSigned(), (_request, response) => response.end('hello')));
  const explanation = await explain(plan(`https://127.0.0.1:${port}/`, ['insecure', '']), start);
  assert.deepEqual(kinds(explanation), [
    'proxy-connected',
    '> connect',
    'decided',
    'routed',
    'dialing',
    'connected',
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
    [explanation.outcome, explanation.status, explanation.proxy.started],
    ['answered', 200, 'for-this-run'],
  );
});

test('http through a proxy of our own: both hops, as they were', async () => {
  const port = await listening(createHttp((_request, response) => response.end('hello')));
  const explanation = await explain(plan(`http://127.0.0.1:${port}/a`), start);
  const heads = kinds(explanation).filter((kind) => /^[<>]/.test(kind));
  assert.deepEqual(heads, ['> request', '>> request', '<< response', '< response']);
  const onwards = explanation.steps.find((step) => step.kind === 'head' && step.mark === '>>');
  assert.ok(onwards?.kind === 'head');
  assert.equal(onwards.lines[0], 'GET /a HTTP/1.1');
  assert.ok(onwards.lines.some((line) => /^Via: 1\.1 viaduct-/.test(line)));
});

test('the explanation of a refusal says more than its response', async () => {
  const gone = await explain(plan('https://127.0.0.1:1/'), start);
  assert.deepEqual([gone.outcome, gone.status], ['failed', 502]);
  const failed = gone.steps.at(-1);
  assert.ok(failed?.kind === 'failed');
  assert.equal(failed.who, 'the destination');
  assert.match(failed.what, /ECONNREFUSED/);
});

test('settings of the command line reach the proxy', async () => {
  const name = FLAGS.find((flag) => flag.name === 'name');
  assert.ok(name);
  const named = starter(
    { settings: [{ flag: name, text: 'aqueduct', label: '--name' }] },
    { XDG_CONFIG_HOME: '/nonexistent' },
  );
  const explanation = await explain(plan('https://127.0.0.1:1/'), named);
  const answer = explanation.steps.find((step) => step.kind === 'head' && step.mark === '<');
  assert.ok(answer?.kind === 'head' && answer.lines.includes('Proxy-Status: aqueduct; error=connection_refused'));
});
