import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { leavesNothing } from '../../test/support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../../test/support/origin.ts';
import { type Fetched, type FetchScope, fetchScript, SCRIPT_BYTES_MAX, type Validators } from './fetcher.ts';

const PAC = 'function FindProxyForURL() { return "DIRECT" }';

const scope = (more: Partial<FetchScope> = {}): FetchScope => ({
  signal: new AbortController().signal,
  resolve: async () => ['127.0.0.1'],
  isSelf: () => false,
  ...more,
});
const textOf = (fetched: Fetched) => (fetched.kind === 'script' ? fetched.text : fetched.kind);

/** One answer for every request; the connection is closed behind it, so that the end may be the end of the body. */
const serving = (answer: string | Buffer) =>
  RawOrigin.listen((peer) => {
    peer.socket.once('data', () => {
      peer.send(answer);
      peer.end();
    });
  });

async function fetched(answer: string | Buffer, more: Partial<FetchScope> = {}): Promise<Fetched> {
  await using origin = await serving(answer);
  return await fetchScript(`http://pac.test:${origin.port}/proxy.pac?a=b`, undefined, scope(more));
}

test(
  'asks the server itself, by name',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok(PAC)));
    const asked: string[] = [];
    const resolve = async (host: string) => {
      asked.push(host);
      return ['127.0.0.1'];
    };
    const answer = await fetchScript(`http://pac.test:${origin.port}/p?a=b#c`, undefined, scope({ resolve }));
    assert.equal(textOf(answer), PAC);
    assert.deepEqual(asked, ['pac.test']);
    assert.equal(
      origin.text.toLowerCase(),
      `get /p?a=b http/1.1\r\naccept: */*\r\naccept-encoding: gzip\r\nuser-agent: viaduct\r\nhost: pac.test:${origin.port}\r\nconnection: close\r\n\r\n`,
    );
  }),
);

test('reads a body however its end is known, gzip too, in whatever charset', async () => {
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

test('asks whether anything has changed, where the script lay in the end', async () => {
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
  assert.deepEqual(await fetchScript(url, validators, scope()), { kind: 'unchanged', freshMs: 120_000 });
  const [, , again = '', last = ''] = origin.connections.map(({ text }) => text.toLowerCase());
  assert.doesNotMatch(again, /if-/);
  assert.match(last, /\r\nif-none-match: "1"\r\nif-modified-since: thu, 01 jan 2025 00:00:00 gmt\r\n/);
});

test('believes the server how long a script is good, between a minute and an hour', async () => {
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
  'closes the connection of an answer that it does not read',
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

test('says what is wrong with an answer', async () => {
  const wrong: [string | Buffer, RegExp][] = [
    ['HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n', /the server answers with status 404/],
    ['HTTP/1.1 304 Not Modified\r\n\r\n', /status 304/],
    ['HTTP/1.1 302 Found\r\n\r\n', /redirects to what is no web address/],
    ['HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n', /redirects to what is no web address/],
    ['HTTP/1.1 302 Found\r\nLocation: /proxy.pac\r\n\r\n', /redirects more than 5 times/],
    ['HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nx', /coded as "br"/],
    ['HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nx', /end of file/],
    [`HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc`, /the connection ended in the middle of the script/],
    ['SSH-2.0-x\r\n\r\n', /Parse Error/],
    ['', /socket hang up/],
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
  'reads a megabyte and not a byte more, as it is decoded',
  leavesNothing(async () => {
    const most = ' '.repeat(SCRIPT_BYTES_MAX);
    const coded = (text: string) =>
      Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n'), gzipSync(text)]);
    assert.equal(textOf(await fetched(coded(most))).length, SCRIPT_BYTES_MAX);
    await assert.rejects(fetched(coded(`${most} `)), /larger than 1048576 bytes/);
    await assert.rejects(fetched(ok(`${most} `)), /larger than 1048576 bytes/);
  }),
);

test('never asks this proxy itself, by whatever name or redirect', async () => {
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
  'gives up with the reason of whoever does, at every step',
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
