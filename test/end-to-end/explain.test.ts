import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { AuthenticatingProxy, DigestJudge } from '../support/authenticating-proxy.ts';
import { selfSigned } from '../support/certificate.ts';
import { viaductEnds } from '../support/cli.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { temporaryFolder } from '../support/temporary.ts';

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());

async function portOf(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const closed = (server: Server) => ({
  [Symbol.asyncDispose]: async () => {
    server.close();
    await once(server, 'close');
  },
});

test('explain through an https: proxy of a private authority prints how to trust it, and takes --ca', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('hello')));
  const certificate = selfSigned();
  const proxy = createHttps(certificate);
  proxy.on('connect', ({ url = '' }, client: Socket) => {
    const [host = '', port = ''] = url.split(':');
    const upstream = connect(Number(port), host, () => client.write('HTTP/1.1 200 OK\r\n\r\n'));
    client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
    client.pipe(upstream).pipe(client);
  });
  const port = await portOf(proxy);
  await using _closing = closed(proxy);
  const words = ['explain', '--tunnel', `http://${origin.authority}/`, '--through', `https://127.0.0.1:${port}`];
  const refused = await viaductEnds(words);
  assert.equal(refused.code, 1);
  const flat = refused.out.replace(/\s+/g, ' ');
  assert.match(flat, /its certificate at 127\.0\.0\.1:\d+ is not trusted: it is signed by itself/);
  assert.match(flat, /--ca FILE trusts .* upstreams: \[\{ host: 127\.0\.0\.1, ca: FILE \}\]/);
  const ca = `${folder.path}/ca.pem`;
  writeFileSync(ca, certificate.cert);
  const { code, out } = await viaductEnds([...words, '--ca', ca]);
  assert.match(out, /over TLS[\s\S]*HTTP\/1\.1 200 OK/);
  assert.equal(code, 0);
  const missing = await viaductEnds([...words, '--ca', `${folder.path}/none.pem`]);
  assert.equal(missing.code, 2);
  assert.match(missing.err, /^viaduct: --ca .*none\.pem: cannot be read: ENOENT\n$/);
});

test('explain shows the TLS of the proxy with an https: upstream proxy, and what is spoken inside', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('hello')));
  const certificate = selfSigned();
  const tls = { cert: folder.write('up.pem', certificate.cert), key: folder.write('up.key', certificate.key) };
  await using upstream = await ProxyUnderTest.start({ listen: [{ url: 'https://127.0.0.1:0', tls }] });
  const upstreams = [{ host: '127.0.0.1', ca: tls.cert }];
  const config = folder.write('explain.json', JSON.stringify({ upstreams, routes: { pac: 'none' } }));
  const words = ['explain', '-c', config, '-x', `https://127.0.0.1:${upstream.port}`, `http://${origin.authority}/`];
  const tunnel = await viaductEnds([...words, '--tunnel']);
  assert.match(
    tunnel.out.replace(/\s+/g, ' '),
    /It starts TLS with the next proxy.*its certificate is trusted; inside they speak.*HTTP\/2.*>> CONNECT /,
  );
  const plain: { steps: { kind: string; proxy?: string; speaks?: string }[] } = JSON.parse(
    (await viaductEnds([...words, '--json'])).out,
  );
  assert.deepEqual(
    plain.steps.flatMap(({ kind, proxy, speaks }) => (kind === 'secured' ? [[proxy, speaks]] : [])),
    [[`https://127.0.0.1:${upstream.port}`, 'http/1.1']],
  );
  const kinds = plain.steps.map(({ kind }) => kind);
  assert.equal(kinds.indexOf('secured'), kinds.indexOf('connected') + 1);
});

test('explain goes on without the login in a URL where the proxy closes at it, and sends it by the scheme that the proxy asks for', async () => {
  const digest = new DigestJudge('me', 'secret');
  await using upstreamProxy = await AuthenticatingProxy.listen((request) => {
    if (!request.credentials?.startsWith('Basic')) return digest.judge(request);
    setImmediate(() => request.peer.end());
    return '';
  });
  const through = `http://me:secret@${upstreamProxy.origin.authority}`;
  const { code, out } = await viaductEnds(['explain', 'http://far.test/', '--through', through]);
  assert.match(out, /HTTP\/1\.1 200 OK/);
  assert.equal(code, 0);
  assert.deepEqual(upstreamProxy.transcript.slice(0, 2), ['GET Basic', 'GET -']);
  assert.equal(upstreamProxy.transcript.at(-1), 'GET Digest');
});

/** A SOCKS5 server (RFC 1928) that wants no login, or refuses with `reply`. */
function socksServer(reply: number): Server {
  return createServer((client) => {
    client.on('error', () => undefined);
    client.once('data', () => {
      client.write(Buffer.from([5, 0]));
      client.once('data', (asked: Buffer) => {
        const isName = asked[3] === 3;
        const length = isName ? (asked[4] ?? 0) + 1 : 4;
        const port = asked.readUInt16BE(4 + length);
        client.write(Buffer.from([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]));
        if (reply !== 0) return void client.end();
        const upstream = connect(port, '127.0.0.1');
        upstream.on('error', () => client.destroy());
        client.on('close', () => upstream.destroy());
        client.pipe(upstream).pipe(client);
      });
    });
  });
}

test('explain through a SOCKS5 proxy shows what was asked, and the answer inside the tunnel', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('hello')));
  const proxy = socksServer(0);
  const port = await portOf(proxy);
  await using _closing = closed(proxy);
  const through = `socks5://me:secret@127.0.0.1:${port}`;
  const { code, out } = await viaductEnds(['explain', `http://far.test:${origin.port}/x`, '--through', through]);
  assert.match(out, /SOCKS5 CONNECT far\.test:\d+/);
  assert.match(out, /the name is resolved by the proxy/);
  assert.match(out, />\s+GET \/x HTTP\/1\.1[\s\S]*<\s+HTTP\/1\.1 200 OK/);
  assert.doesNotMatch(out, /secret/);
  assert.equal(code, 0);
  const json = await viaductEnds(['explain', '--json', `http://far.test:${origin.port}/`, '--through', through]);
  const { outcome, steps } = JSON.parse(json.out);
  assert.equal(outcome, 'answered');
  assert.deepEqual(
    steps.map(({ kind }: { kind: string }) => kind),
    ['proxy-connected', 'socks', 'tunnel-open', 'head', 'head', 'body', 'done'],
  );
});

test('a SOCKS5 proxy that refuses, or is not there, is what went wrong', async () => {
  const proxy = socksServer(2);
  const port = await portOf(proxy);
  await using _closing = closed(proxy);
  const refused = await viaductEnds(['explain', 'http://far.test/', '--through', `socks5://127.0.0.1:${port}`]);
  assert.equal(refused.code, 1);
  assert.match(refused.out.replace(/\s+/g, ' '), /What went wrong.*not allowed by its rules/);
  const gone = await viaductEnds(['explain', 'http://far.test/', '--through', 'socks5://127.0.0.1:9']);
  assert.equal(gone.code, 1);
  assert.match(gone.out, /What went wrong[\s\S]*ECONNREFUSED/);
});

test('--html writes the conversation as a page too, without a secret, and says where', async () => {
  await using origin = await RawOrigin.listen(
    answering(() => ok('hello', 'Set-Cookie: sid=secret', 'X-Html: <b onload=x>')),
  );
  using folder = temporaryFolder();
  const page = join(folder.path, 'page.html');
  const url = `http://127.0.0.1:${origin.port}/a?token=secret`;
  const { code, out, err } = await viaductEnds(['explain', url, '--pac', 'none', '--tunnel', '--html', page]);
  assert.equal(code, 0, err);
  assert.match(out, /HTTP\/1\.1 200 OK/);
  assert.ok(err.includes(`the page is in ${page}`));
  const text = readFileSync(page, 'utf8');
  assert.match(text, /^<!doctype html>[\s\S]*<\/html>\n$/);
  assert.match(text, /X-Html: &lt;b onload=x&gt;/);
  assert.doesNotMatch(text, /secret/);
});

test('a page that cannot be written is one line about --html', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('hello')));
  using folder = temporaryFolder();
  const url = `http://127.0.0.1:${origin.port}/`;
  const { code, err } = await viaductEnds(['explain', url, '--pac', 'none', '--html', folder.path]);
  assert.equal(code, 2);
  assert.match(err, /^viaduct: --html .* cannot be written: /m);
});
