import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type Agent, get, type IncomingMessage, request } from 'node:http';
import { dirname, extname } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import { promisify } from 'node:util';
import { agentsVia, connectVia, fetchVia, startProxy } from '../../src/index.ts';
import { AuthenticatingProxy, basicJudge } from '../support/authenticating-proxy.ts';
import { selfSigned } from '../support/certificate.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, echo, ok, RawOrigin } from '../support/origin.ts';
import type { RawPeer } from '../support/raw-client.ts';

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response) text += chunk;
  return text;
}

/** What one request through `agent` is answered. */
async function fetched(agent: Agent, url: string): Promise<string> {
  const [response] = await once(get(url, { agent }), 'response');
  return await textOf(response);
}

/** A SOCKS5 proxy without authentication that answers in the place of every target. */
async function serveSocks(peer: RawPeer): Promise<void> {
  await peer.when(({ bytesReceived }) => bytesReceived >= 3);
  peer.send(Buffer.from([5, 0]));
  await peer.until('\0P');
  peer.send(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
  await peer.until('\r\n\r\n');
  peer.send(ok('by SOCKS'));
}

/** The request lines of each connection. */
const firstLines = ({ connections }: RawOrigin): string[][] =>
  connections.map(({ text }) => [...text.matchAll(/^(?:GET|POST|HEAD|OPTIONS|CONNECT) .*(?=\r$)/gm)].map(String));

test(
  'fetchVia sends an http: request to the proxy in absolute-form, with the target as Host',
  leavesNothing(async () => {
    await using proxy = await RawOrigin.listen(answering(() => ok('from the proxy')));
    await using fetch = fetchVia(`http://${proxy.authority}`);
    for (const path of ['/a?b=c%20d', '/']) {
      const response = await fetch(`http://origin.test:8080${path}`, { headers: { 'x-own': '1' } });
      assert.equal(await response.text(), 'from the proxy');
    }
    assert.deepEqual(firstLines(proxy).flat(), [
      'GET http://origin.test:8080/a?b=c%20d HTTP/1.1',
      'GET http://origin.test:8080/ HTTP/1.1',
    ]);
    assert.match(proxy.text, /^GET .*\r\nHost: origin\.test:8080\r\n/);
    assert.match(proxy.text, /\r\nx-own: 1\r\n/);
    assert.doesNotMatch(proxy.text, /keep-alive/i, 'the connection of the agent is another one');
  }),
);

test(
  'agentsVia sends http: in absolute-form however the program gives its fields, and leaves out port 80',
  leavesNothing(async () => {
    await using proxy = await RawOrigin.listen(answering(() => ok('here')));
    const { httpAgent, httpsAgent } = agentsVia(new URL(`http://${proxy.authority}`));
    assert.equal(await fetched(httpAgent, 'http://origin.test/x'), 'here');
    // Node writes such a head before the agent has seen the request.
    const early = request({
      host: '::1',
      path: '/y',
      agent: httpAgent,
      headers: ['Host', '[::1]', 'X-A', '1', 'X-A', '2'],
    });
    early.end();
    const [response] = await once(early, 'response');
    assert.equal(await textOf(response), 'here');
    httpAgent.destroy();
    httpsAgent.destroy();
    assert.deepEqual(firstLines(proxy).flat(), ['GET http://origin.test/x HTTP/1.1', 'GET http://[::1]/y HTTP/1.1']);
    assert.match(proxy.text, /\r\nHost: origin\.test\r\n/);
    assert.match(proxy.text, /\r\nHost: \[::1\]\r\nX-A: 1\r\nX-A: 2\r\n/);
  }),
);

test(
  'bodies of any framing pass in both directions, trailers and interim answers too',
  leavesNothing(async () => {
    await using proxy = await RawOrigin.listen((peer) => {
      void peer.until('\r\n0\r\n\r\n').then(() => {
        peer.send('HTTP/1.1 100 Continue\r\n\r\n');
        peer.send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
        peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n');
      });
    });
    const { httpAgent } = agentsVia(`http://${proxy.authority}`);
    const sending = request({ host: 'o.test', method: 'POST', agent: httpAgent, headers: { Expect: '100-continue' } });
    const interim: number[] = [];
    sending.on('information', ({ statusCode }) => interim.push(statusCode));
    sending.write('one');
    sending.end('two');
    const [response] = await once(sending, 'response');
    assert.equal(await textOf(response), 'hello');
    assert.deepEqual({ ...response.trailers }, { 'x-sum': '1' });
    assert.deepEqual(interim, [100, 103]);
    assert.match(proxy.text, /\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n$/);
    httpAgent.destroy();

    await using untilClose = await RawOrigin.listen((peer) => {
      void peer.until('sized').then(() => void peer.send('HTTP/1.0 200 OK\r\n\r\nuntil the end').end());
    });
    await using fetch = fetchVia(`http://${untilClose.authority}`);
    const whole = await fetch('http://o.test/', { method: 'PUT', body: 'sized' });
    assert.equal(await whole.text(), 'until the end');
    assert.match(untilClose.text, /\r\nContent-Length: 5\r\n/i);
  }),
);

test(
  'a connection of an agent serves the next request behind an answer of known length',
  leavesNothing(async () => {
    await using proxy = await RawOrigin.listen(answering(() => ok('0123456789')));
    const { httpAgent } = agentsVia(`http://${proxy.authority}`);
    const seen: unknown[] = [];
    for (const method of ['GET', 'GET', 'DELETE', 'POST']) {
      const free = once(httpAgent, 'free');
      const signal = AbortSignal.timeout(5_000);
      const sending = request('http://o.test/', { method, agent: httpAgent, signal }).end();
      const [response] = await once(sending, 'response');
      seen.push([sending.reusedSocket, await textOf(response)]);
      await free;
    }
    httpAgent.destroy();
    assert.deepEqual(seen, [
      [false, '0123456789'],
      [true, '0123456789'],
      [true, '0123456789'],
      [true, '0123456789'],
    ]);
  }),
);

test(
  'HEAD, 204 and 304 have no body, and the connection serves the next request',
  leavesNothing(async () => {
    const answers = ['200 OK\r\nContent-Length: 7', '204 No Content', '304 Not Modified\r\nContent-Length: 9'];
    await using proxy = await RawOrigin.listen(
      answering(() => `HTTP/1.1 ${answers.shift() ?? '500 Too many'}\r\n\r\n`),
    );
    const { httpAgent } = agentsVia(`http://${proxy.authority}`);
    const seen: unknown[] = [];
    for (const method of ['HEAD', 'GET', 'GET']) {
      const free = once(httpAgent, 'free');
      const [response] = await once(request('http://o.test/', { method, agent: httpAgent }).end(), 'response');
      seen.push([response.statusCode, response.headers['content-length'], await textOf(response)]);
      await free;
    }
    httpAgent.destroy();
    assert.deepEqual(seen, [
      [200, '7', ''],
      [204, undefined, ''],
      [304, '9', ''],
    ]);
    assert.equal(proxy.connections.length, 1);
  }),
);

test(
  'what the proxy answers itself is the response',
  leavesNothing(async () => {
    await using proxy = await startProxy({ authorize: (ctx) => ctx.deny('not there') });
    await using fetch = fetchVia(proxy.url);
    const response = await fetch('http://o.test/');
    assert.equal(response.status, 403);
    assert.match(await response.text(), /The rule is called "not there"/);
  }),
);

test(
  'a proxy that asks for a login gets the one in its URL, and one that refuses it is a ProxyError',
  leavesNothing(async () => {
    const requests: string[] = [];
    const asks = (peer: RawPeer) =>
      answering(({ head }) => {
        requests.push(head);
        const [, pair = ''] = /^proxy-authorization: basic (\S+)$/im.exec(head) ?? [];
        return Buffer.from(pair, 'base64').toString() === 'me:right'
          ? ok('let in')
          : 'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n';
      })(peer);
    await using proxy = await RawOrigin.listen(asks);
    const { httpAgent } = agentsVia(`http://me:right@${proxy.authority}`);
    assert.equal(await fetched(httpAgent, 'http://o.test/'), 'let in');
    assert.match(requests.at(-1) ?? '', /^GET http:\/\/o\.test\/ HTTP\/1\.1\r\n/);
    httpAgent.destroy();
    await using fetch = fetchVia(`http://me:wrong@${proxy.authority}`);
    await assert.rejects(fetch('http://o.test/'), (error: Error) => {
      assert.equal(Reflect.get(Object(error.cause), 'code'), 'upstream_auth_failed');
      return true;
    });
  }),
);

/** What the slow proxy takes for each answer. */
const THINKING_MS = 10;

test(
  'a program waits for a proxy that takes its time to let it in',
  leavesNothing(async () => {
    const warnings: string[] = [];
    const warned = ({ name, message }: Error) => warnings.push(`${name}: ${message}`);
    process.on('warning', warned);
    await using proxy = await RawOrigin.listen(async (peer) => {
      await peer.until('\r\n\r\n');
      await wait(THINKING_MS);
      peer.send(
        'HTTP/1.1 407 Who\r\nProxy-Authenticate: Digest realm="x", nonce="n", qop="auth"\r\nContent-Length: 0\r\n\r\n',
      );
      await peer.until(/^proxy-authorization: Digest .*\r\n(?:.+\r\n)*\r\n/im);
      await wait(THINKING_MS);
      peer.send('HTTP/1.1 200 OK\r\n\r\n');
    });
    // Whether a sum of times is rounded up or down changes from one to the next.
    const slow = { url: `http://me:pw@${proxy.authority}`, auth: { preemptive: false } };
    for (let at = 0; at < 8; at++) (await connectVia(slow, 'o.test:443')).destroy();
    process.off('warning', warned);
    assert.deepEqual(warnings, []);
  }),
);

test(
  'tunnel: all sends nothing but CONNECT, and https: and SOCKS proxies get a tunnel in any case',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('through')));
    await using proxy = await startProxy();
    const methods: string[] = [];
    proxy.on('request', ({ request: { method } }) => methods.push(method));
    {
      await using fetch = fetchVia(proxy.url, { tunnel: 'all' });
      assert.equal(await (await fetch(`http://${origin.authority}/`)).text(), 'through');
      const { httpAgent, httpsAgent } = agentsVia(proxy.url, { tunnel: 'all' });
      assert.equal(await fetched(httpAgent, `http://${origin.authority}/`), 'through');
      httpAgent.destroy();
      httpsAgent.destroy();
    }
    await using plain = fetchVia(proxy.url);
    await using deaf = await RawOrigin.listen((peer) => void peer.end());
    await assert.rejects(plain(`https://${deaf.authority}/`));
    assert.deepEqual(methods, ['CONNECT', 'CONNECT', 'CONNECT']);
    assert.match(origin.text, /^GET \/ HTTP\/1\.1\r\n/);
    await using socks = await RawOrigin.listen((peer) => void serveSocks(peer));
    await using far = fetchVia(`socks5://${socks.authority}`);
    assert.equal(await (await far('http://o.test/')).text(), 'by SOCKS');
    assert.match(socks.text, /o\.test\0PGET \/ HTTP\/1\.1\r\n/);
  }),
);

test(
  'in a chain only the last proxy reads the request, through a tunnel of the first',
  leavesNothing(async () => {
    await using last = await RawOrigin.listen(answering(() => ok('at last')));
    await using first = await startProxy();
    const targets: string[] = [];
    first.on('request', ({ request: { method, target } }) => targets.push(`${method} ${target.host}:${target.port}`));
    await using fetch = fetchVia([first.url, `http://${last.authority}`]);
    assert.equal(await (await fetch('http://o.test/z')).text(), 'at last');
    assert.deepEqual(targets, [`CONNECT ${last.authority}`]);
    assert.match(last.text, /^GET http:\/\/o\.test\/z HTTP\/1\.1\r\n/);
  }),
);

test(
  'a proxy that is not there, one that closes, and one that breaks off are ProxyErrors',
  leavesNothing(async () => {
    const codes: unknown[] = [];
    const codeOf = (error: unknown) => codes.push(Reflect.get(Object(error), 'code'));
    const gone = await RawOrigin.listen();
    const nowhere = `http://${gone.authority}`;
    await gone[Symbol.asyncDispose]();
    {
      await using fetch = fetchVia(nowhere);
      await fetch('http://o.test/').catch(({ cause }) => codeOf(cause));
    }
    await using closes = await RawOrigin.listen((peer) => void peer.until('\r\n\r\n').then(() => peer.end()));
    const { httpAgent } = agentsVia(`http://${closes.authority}`);
    await fetched(httpAgent, 'http://o.test/').catch(codeOf);
    httpAgent.destroy();
    await using breaks = await RawOrigin.listen((peer) => {
      void peer.until('\r\n\r\n').then(() => {
        peer.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
        peer.end();
      });
    });
    {
      await using fetch = fetchVia(`http://${breaks.authority}`);
      const response = await fetch('http://o.test/');
      await response.text().catch(({ cause }) => codeOf(cause));
    }
    assert.deepEqual(codes, ['connect_failed', 'upstream_closed', 'response_incomplete']);
  }),
);

test(
  'an agent that gives a request up closes its connection to the proxy',
  leavesNothing(async () => {
    await using proxy = await RawOrigin.listen();
    const { httpAgent } = agentsVia(`http://${proxy.authority}`);
    const hanging = get('http://o.test/', { agent: httpAgent });
    const ended = once(hanging, 'error');
    const peer = await proxy.connection();
    await peer.until('\r\n\r\n');
    hanging.destroy(new Error('changed my mind'));
    assert.match(String((await ended)[0]), /changed my mind/);
    await peer.ended();
    const slow = get('http://o.test/', { agent: httpAgent, timeout: 20 });
    await once(slow, 'timeout');
    slow.destroy();
    await once(slow, 'error');
    httpAgent.destroy();
  }),
);

test(
  'a switch of protocols passes bytes both ways',
  leavesNothing(async () => {
    await using proxy = await RawOrigin.listen((peer) => {
      void peer.until('\r\n\r\n').then(() => {
        peer.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nhello ');
        echo(peer);
      });
    });
    const { httpAgent } = agentsVia(`http://${proxy.authority}`);
    const asking = get('http://o.test/', { agent: httpAgent, headers: { Connection: 'Upgrade', Upgrade: 'chat' } });
    const [response, socket, first] = await once(asking, 'upgrade');
    assert.equal(response.statusCode, 101);
    socket.end('you');
    let text = String(first);
    for await (const chunk of socket) text += chunk;
    assert.equal(text, 'hello you');
    httpAgent.destroy();
  }),
);

test('an idle connection to a proxy does not keep the program alive', async () => {
  await using proxy = await RawOrigin.listen(answering(() => ok('done')));
  const door = new URL(`../../src/index${extname(import.meta.filename)}`, import.meta.url).href;
  const program = `
    import { get } from 'node:http';
    import { agentsVia, fetchVia } from ${JSON.stringify(door)};
    await (await fetchVia('http://${proxy.authority}')('http://o.test/')).text();
    const { httpAgent } = agentsVia('http://${proxy.authority}');
    get('http://o.test/', { agent: httpAgent }, (response) => response.resume().on('end', () => console.log('read')));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    timeout: 20_000,
    cwd: dirname(import.meta.filename),
  });
  assert.equal(stdout, 'read\n');
  for (const peer of proxy.connections) await peer.ended();
});

test(
  'the socket of connectVia ends when its target does, as that of net.connect, also when that is at once',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen((peer) => void peer.send('bye').end());
    await using proxy = await RawOrigin.listen((peer) => {
      void peer.until('\r\n\r\n').then(() => void peer.send('HTTP/1.1 200 OK\r\n\r\n').end());
    });
    await using eager = await RawOrigin.listen((peer) => {
      void peer.until('\r\n\r\n').then(() => void peer.send('HTTP/1.1 200 OK\r\n\r\nbye').end());
    });
    for (const [route, expected] of [
      ['direct', 'bye'],
      [`http://${proxy.authority}`, ''],
      [`http://${eager.authority}`, 'bye'],
    ] as const) {
      const socket = await connectVia(route, origin.authority);
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk;
      });
      await once(socket, 'close');
      assert.equal(text, expected);
    }
    for (const { connections } of [origin, proxy, eager]) {
      for (const peer of connections) assert.equal(await peer.ended(), 'fin');
    }
    const open = await connectVia('direct', origin.authority, { allowHalfOpen: true });
    open.resume();
    await once(open, 'end');
    const closed = once(open, 'close');
    open.end('still heard');
    await (await origin.connection(1)).until('still heard');
    await closed;
  }),
);

test(
  'a login in a URL goes with the first request to a proxy of this machine, unless the program says otherwise',
  leavesNothing(async () => {
    await using proxy = await AuthenticatingProxy.listen(basicJudge('ann', 'secret'));
    const url = proxy.url.replace('//', '//ann:secret@');
    for (const route of [url, new URL(url), { url }, { url, auth: { preemptive: false } }]) {
      await using fetch = fetchVia(route);
      assert.equal(await (await fetch('http://a.test/')).text(), 'served');
      const { httpAgent, httpsAgent } = agentsVia(route);
      assert.equal(await fetched(httpAgent, 'http://a.test/'), 'served');
      httpAgent.destroy();
      httpsAgent.destroy();
    }
    const asked = proxy.transcript.map((line) => line.endsWith(' -'));
    assert.deepEqual(asked.slice(0, 6), Array(6).fill(false));
    assert.ok(asked.slice(6).includes(true));
  }),
);

test('what goes with the URL of a proxy is checked, and tls holds for it', async () => {
  const certificate = selfSigned();
  const server = createTlsServer(certificate, (socket) => {
    socket.on('error', () => undefined).once('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\nthrough'));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const url = `https://127.0.0.1:${address.port}`;
  await assert.rejects(connectVia(url, 'a.test:443'), { code: 'certificate_rejected' });
  const socket = await connectVia({ url, tls: { ca: certificate.cert } }, 'a.test:443');
  let text = '';
  for await (const chunk of socket) text += chunk;
  assert.equal(text, 'through');
  server.close();
  await assert.rejects(connectVia({ url, tls: { fingerprint256: 'x' } }, 'a.test:443'), {
    code: 'no_route',
    detail: 'tls.fingerprint256: is no SHA-256: 64 hexadecimal digits',
  });
});
