import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import { createServer, type TLSSocket } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { selfSigned } from '../../../test/support/certificate.ts';
import { leavesNothing } from '../../../test/support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../../../test/support/origin.ts';
import { trusting } from '../../../test/support/trusting.ts';
import { type FetchResult, type FetchScope, fetchScript, SCRIPT_BYTES_MAX, type Validators } from './fetcher.ts';

const PAC = 'function FindProxyForURL() { return "DIRECT" }';

const scope = (more: Partial<FetchScope> = {}): FetchScope => ({
  signal: new AbortController().signal,
  resolve: async () => ['127.0.0.1'],
  isSelf: () => false,
  secure: trusting(),
  ...more,
});
const textOf = (fetched: FetchResult) => (fetched.kind === 'script' ? fetched.text : fetched.kind);

/** A server that sends these bytes and closes the connection, which may mark the end of the body. */
const serving = (response: string | Buffer) =>
  RawOrigin.listen((peer) => {
    peer.socket.once('data', () => {
      peer.send(response);
      peer.end();
    });
  });

async function fetched(response: string | Buffer, more: Partial<FetchScope> = {}): Promise<FetchResult> {
  await using origin = await serving(response);
  return await fetchScript(`http://pac.test:${origin.port}/proxy.pac?a=b`, undefined, scope(more));
}

test(
  'sends the request to the server itself, by name',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok(PAC)));
    const resolved: string[] = [];
    const resolve = async (host: string) => {
      resolved.push(host);
      return ['127.0.0.1'];
    };
    const result = await fetchScript(`http://pac.test:${origin.port}/p?a=b#c`, undefined, scope({ resolve }));
    assert.equal(textOf(result), PAC);
    assert.deepEqual(resolved, ['pac.test']);
    assert.equal(
      origin.text.toLowerCase(),
      `get /p?a=b http/1.1\r\naccept: */*\r\naccept-encoding: gzip\r\nuser-agent: viaduct\r\nhost: pac.test:${origin.port}\r\nconnection: close\r\n\r\n`,
    );
  }),
);

test('reads bodies of every framing, with gzip, in any charset', async () => {
  const bodies: [string | Buffer, string][] = [
    [ok(PAC), PAC],
    [`HTTP/1.0 200 OK\r\n\r\n${PAC}`, PAC],
    [`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n`, 'abc'],
    [Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n'), gzipSync(PAC)]), PAC],
    [Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=latin1\r\n\r\n\xe4', 'latin1'), 'ä'],
    [Buffer.from('HTTP/1.1 200 OK\r\n\r\n\ufeffä'), 'ä'],
  ];
  for (const [answer, text] of bodies) assert.equal(textOf(await fetched(answer)), text);
});

test('sends a conditional request to the URL behind all redirects', async () => {
  await using origin = await RawOrigin.listen(
    answering(({ startLine, fields }) => {
      if (startLine.includes('/old')) return 'HTTP/1.1 302 Found\r\nLocation: new?x\r\nContent-Length: 0\r\n\r\n';
      if (fields.get('if-none-match') === '"1"')
        return 'HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=120\r\n\r\n';
      return ok(PAC, 'ETag: "1"', 'Last-Modified: Thu, 01 Jan 2025 00:00:00 GMT');
    }),
  );
  const url = `http://pac.test:${origin.port}/old`;
  const first = await fetchScript(url, undefined, scope());
  const validators: Validators = {
    url: `http://pac.test:${origin.port}/new?x`,
    etag: '"1"',
    lastModified: 'Thu, 01 Jan 2025 00:00:00 GMT',
  };
  assert.deepEqual(first, { kind: 'script', text: PAC, validators, namedBy: 'untrusted-pac', freshMs: 900_000 });
  assert.deepEqual(await fetchScript(url, validators, scope()), {
    kind: 'unchanged',
    namedBy: 'untrusted-pac',
    freshMs: 120_000,
  });
  const [, , again = '', last = ''] = origin.connections.map(({ text }) => text.toLowerCase());
  assert.doesNotMatch(again, /if-/);
  assert.match(last, /\r\nif-none-match: "1"\r\nif-modified-since: thu, 01 jan 2025 00:00:00 gmt\r\n/);
});

test('takes the freshness of a script from the server, between a minute and an hour', async () => {
  for (const [field, freshMs] of [
    ['max-age=300', 300_000],
    ['public, Max-Age="600"', 600_000],
    ['max-age=0', 60_000],
    ['max-age=31536000', 3_600_000],
    ['no-store', 900_000],
    ['x-max-age=5', 900_000],
  ] as const) {
    const answer = await fetched(ok(PAC, `Cache-Control: ${field}`));
    assert.equal(answer.freshMs, freshMs, field);
  }
});

test(
  'closes the connection of a response that it does not read',
  leavesNothing(async () => {
    for (const head of ['200 OK\r\nContent-Encoding: br', '404 Not Found', '302 Found\r\nLocation: ftp://pac.test/']) {
      const { promise: isClosed, resolve } = Promise.withResolvers<void>();
      await using origin = await RawOrigin.listen((peer) => {
        peer.socket.once('end', resolve).once('close', resolve);
        peer.socket.once('data', () => peer.send(`HTTP/1.1 ${head}\r\nContent-Length: 9\r\n\r\nx`));
      });
      await assert.rejects(fetchScript(`http://pac.test:${origin.port}/`, undefined, scope()));
      await isClosed;
    }
  }),
);

test('reports what is wrong with a response', async () => {
  const wrong: [string | Buffer, RegExp][] = [
    ['HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n', /the server responds with status 404/],
    ['HTTP/1.1 304 Not Modified\r\n\r\n', /status 304/],
    ['HTTP/1.1 302 Found\r\n\r\n', /redirects to a URL that is neither http: nor https:/],
    [
      'HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n',
      /redirects to a URL that is neither http: nor https:/,
    ],
    ['HTTP/1.1 302 Found\r\nLocation: /proxy.pac\r\n\r\n', /redirects more than 5 times/],
    ['HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nx', /content coding "br", which is not supported/],
    ['HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nx', /end of file/],
    [`HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc`, /the connection ended in the middle of the script/],
    ['SSH-2.0-x\r\n\r\n', /the status line is not HTTP/],
    ['', /the server closed the connection without a response/],
  ];
  for (const [answer, why] of wrong) {
    await assert.rejects(
      async () => {
        await using origin = await RawOrigin.listen((peer) => {
          peer.socket.once('data', () => {
            peer.send(answer);
            peer.end();
          });
        });
        await fetchScript(`http://pac.test:${origin.port}/proxy.pac`, undefined, scope());
      },
      why,
      String(answer),
    );
  }
});

test(
  'reads at most a megabyte, counted after decoding',
  leavesNothing(async () => {
    const most = ' '.repeat(SCRIPT_BYTES_MAX);
    const coded = (text: string) =>
      Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n'), gzipSync(text)]);
    assert.equal(textOf(await fetched(coded(most))).length, SCRIPT_BYTES_MAX);
    await assert.rejects(fetched(coded(`${most} `)), /larger than 1048576 bytes/);
    await assert.rejects(fetched(ok(`${most} `)), /larger than 1048576 bytes/);
  }),
);

test('never sends a request to this proxy itself, under any name or by a redirect', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok(PAC)));
  await using other = await RawOrigin.listen(
    answering(() => `HTTP/1.1 302 Found\r\nLocation: http://localhost:${origin.port}/\r\nContent-Length: 0\r\n\r\n`),
  );
  const isSelf = (address: string, port: number) => address === '127.0.0.1' && port === origin.port;
  const resolve = async (host: string) => (host === 'localhost' ? ['::1', '127.0.0.1'] : ['127.0.0.1']);
  for (const from of [
    `http://127.0.0.1:${origin.port}/`,
    `http://localhost:${origin.port}/`,
    `http://pac.test:${other.port}/`,
  ])
    await assert.rejects(fetchScript(from, undefined, scope({ isSelf, resolve })), /is this proxy itself/, from);
  assert.equal(origin.connections.length, 0);
});

test(
  'rejects with the reason of its signal, at every step',
  leavesNothing(async () => {
    const reason = new Error('over');
    for (const step of ['head', 'body', 'name'] as const) {
      const stop = new AbortController();
      await using origin = await RawOrigin.listen((peer) => {
        peer.socket.once('data', () => {
          if (step === 'body') peer.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc');
          setTimeout(() => stop.abort(reason), 20);
        });
      });
      const resolve = (_: string, signal: AbortSignal) =>
        step === 'name'
          ? new Promise<string[]>((_, reject) => {
              signal.addEventListener('abort', () => reject(signal.reason));
              setTimeout(() => stop.abort(reason), 20);
            })
          : Promise.resolve(['127.0.0.1']);
      const fetching = fetchScript(
        `http://pac.test:${origin.port}/`,
        undefined,
        scope({ signal: stop.signal, resolve }),
      );
      await assert.rejects(fetching, (error) => error === reason, step);
    }
  }),
);

const certificate = selfSigned(['pac.test']);

/** Responds to every request over TLS, then ends TLS with close_notify, or closes the transport alone. */
async function tlsServing(answer: string | Buffer, then: 'close_notify' | 'cut' = 'close_notify', shown = certificate) {
  const sockets = new Set<Socket>();
  let requests = 0;
  const server = createServer(shown, (socket: TLSSocket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      requests += 1;
      socket.write(answer, () => {
        if (then === 'close_notify') socket.end();
        else for (const one of sockets) one.destroy();
      });
    });
  });
  server.on('connection', (socket: Socket) => sockets.add(socket)).on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://pac.test:${port}/proxy.pac`,
    get requests() {
      return requests;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), 'close');
    },
  };
}
const trusted = scope({ secure: trusting(certificate.cert) });

test(
  'over TLS a script is trusted when the certificate is valid, and otherwise not read',
  leavesNothing(async () => {
    await using web = await tlsServing(ok(PAC));
    const given = await fetchScript(web.url, undefined, trusted);
    assert.equal(given.namedBy, 'pac');
    assert.equal(textOf(given), PAC);
    await assert.rejects(fetchScript(web.url, undefined, scope()), { code: 'certificate_rejected' });
    await assert.rejects(fetchScript(web.url.replace('pac.test', 'other.test'), undefined, trusted), {
      code: 'certificate_rejected',
    });
    assert.equal(web.requests, 1);
  }),
);

test(
  'the server of every redirect is verified, and one step over http: makes the script untrusted',
  leavesNothing(async () => {
    const to = (url: string) => `HTTP/1.1 302 Found\r\nLocation: ${url}\r\nContent-Length: 0\r\n\r\n`;
    await using web = await tlsServing(ok(PAC));
    await using toTls = await tlsServing(to(web.url));
    assert.equal((await fetchScript(toTls.url, undefined, trusted)).namedBy, 'pac');
    await using clear = await RawOrigin.listen(answering(() => to(web.url)));
    const clearUrl = `http://pac.test:${clear.port}/`;
    assert.equal((await fetchScript(clearUrl, undefined, trusted)).namedBy, 'untrusted-pac');
    await using toClear = await tlsServing(to(clearUrl));
    assert.equal((await fetchScript(toClear.url, undefined, trusted)).namedBy, 'untrusted-pac');
    await using unknown = await tlsServing(ok(PAC), 'close_notify', selfSigned(['pac.test']));
    await using toUnknown = await tlsServing(to(unknown.url));
    await assert.rejects(fetchScript(toUnknown.url, undefined, trusted), { code: 'certificate_rejected' });
    assert.equal(unknown.requests, 0);
  }),
);

for (const [name, head, body, isDelimited] of [
  ['by the end of the connection', 'HTTP/1.1 200 OK', PAC, false],
  ['by the end of the connection, in HTTP/1.0', 'HTTP/1.0 200 OK', PAC, false],
  ['by the end of the connection, behind gzip', 'HTTP/1.1 200 OK\r\nContent-Encoding: gzip', gzipSync(PAC), false],
  ['by its length', `HTTP/1.1 200 OK\r\nContent-Length: ${PAC.length}`, PAC, true],
  [
    'by its last chunk',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked',
    `${PAC.length.toString(16)}\r\n${PAC}\r\n0\r\n\r\n`,
    true,
  ],
] as const) {
  test(
    `over TLS a body that is ended ${name} is ${isDelimited ? 'whole without' : 'incomplete without'} close_notify`,
    leavesNothing(async () => {
      const answer = Buffer.concat([Buffer.from(`${head}\r\n\r\n`), Buffer.from(body)]);
      await using orderly = await tlsServing(answer);
      assert.equal(textOf(await fetchScript(orderly.url, undefined, trusted)), PAC);
      await using cutting = await tlsServing(answer, 'cut');
      const cut = fetchScript(cutting.url, undefined, trusted);
      if (isDelimited) assert.equal(textOf(await cut), PAC);
      else await assert.rejects(cut, /the connection ended in the middle of the script/);
    }),
  );
}

test('sends the login of a URL, and no validator with a line break', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok(PAC)));
  const url = `http://me:p%40ss@pac.test:${origin.port}/`;
  const known: Validators = { url, etag: '"1"\r\nX: y', lastModified: undefined };
  await fetchScript(url, known, scope());
  assert.match(origin.text, /\r\nAuthorization: Basic bWU6cEBzcw==\r\n/);
  assert.doesNotMatch(origin.text, /X: y|If-None-Match/);
});
