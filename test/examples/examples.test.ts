/** Every program of examples/ does what its first comment promises. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ROOT } from '../../scripts/tools.ts';
import { startPostgres } from '../lab/postgres.ts';
import { answering, echo, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';

const pathOf = (name: string): string => `${ROOT}examples/${name}.ts`;

interface Example extends AsyncDisposable {
  readonly port: number;
  /** Standard output. Resolves when it matches. */
  prints(what: RegExp): Promise<string>;
}

/** Starts an example that is a proxy, and waits until it listens. */
async function start(name: string, ...words: string[]): Promise<Example> {
  const child: ChildProcess = spawn(process.execPath, [pathOf(name), ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const waiting = new Set<() => void>();
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    for (const check of waiting) check();
  });
  const prints = (what: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const check = () => {
        if (!what.test(out)) return;
        waiting.delete(check);
        resolve(out);
      };
      waiting.add(check);
      check();
      void ended.then(() => reject(new Error(`ended without ${what}: ${out}${err}`)));
    });
  const [, port] = /listening on http:\/\/127\.0\.0\.1:(\d+)\n/.exec(await prints(/listening on .*\n/)) ?? [];
  return {
    port: Number(port),
    prints,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function tunnelThrough(port: number, authority: string): Promise<RawPeer> {
  const client = (await rawClient(port)).send(connectTo(authority));
  assert.equal(await client.until('\r\n\r\n'), 'HTTP/1.1 200 Connection established\r\n\r\n');
  return client;
}

test('one-shot: the proxy of the article is at most 45 lines of code', () => {
  const code = readFileSync(pathOf('one-shot'), 'utf8')
    .replaceAll(/\/\*.*?\*\//gs, '')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.trim().startsWith('//'));
  assert.ok(code.length <= 45, `${code.length} lines`);
});

test('one-shot: curl reaches a web server through it', { skip: missing('curl') }, async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('hello')));
  await using proxy = await start('one-shot', '0');
  const words = ['-sS', '-p', '-x', `http://127.0.0.1:${proxy.port}`, `http://${origin.authority}/`];
  assert.deepEqual(await run('curl', words), { code: 0, out: 'hello', err: '' });
});

test('one-shot: a head in pieces opens a tunnel, and early bytes are its first', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await start('one-shot', '0');
  const bytes = `${connectTo(origin.authority)}early`;
  for (let cut = 1; cut < bytes.length; cut++) {
    using client = await rawClient(proxy.port);
    client.send(bytes.slice(0, cut));
    await new Promise((resolve) => setImmediate(resolve));
    client.send(bytes.slice(cut));
    assert.match(await client.until('early'), /^HTTP\/1\.1 200 Connection established\r\n\r\nearly$/, `cut at ${cut}`);
  }
});

test('one-shot: a client that has sent all still gets its response, and both sides end', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await start('one-shot', '0');
  using client = await tunnelThrough(proxy.port, origin.authority);
  client.send('x'.repeat(300_000)).end();
  assert.equal(await client.ended(), 'fin');
  assert.equal(client.text.length, 'HTTP/1.1 200 Connection established\r\n\r\n'.length + 300_000);
});

for (const [request, status] of [
  ['CONNECT example.com HTTP/1.1\r\n\r\n', '400 Bad Request'],
  ['CONNECT :443 HTTP/1.1\r\n\r\n', '400 Bad Request'],
  ['CONNECT a:70000 HTTP/1.1\r\n\r\n', '400 Bad Request'],
  ['\x16\x03\x01\r\n\r\n', '400 Bad Request'],
  ['GET http://example.com/ HTTP/1.1\r\n\r\n', '501 Not Implemented'],
  ['CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n', '502 Bad Gateway'],
  [`CONNECT a:1 HTTP/1.1\r\nA: ${'x'.repeat(20_000)}`, '431 Request Header Fields Too Large'],
] as const) {
  test(`one-shot: ${JSON.stringify(request.slice(0, 40))} is answered ${status}, and the connection ends`, async () => {
    await using proxy = await start('one-shot', '0');
    using client = (await rawClient(proxy.port)).send(request);
    assert.match(await client.until('\r\n\r\n'), new RegExp(`^HTTP/1\\.1 ${status}\r\n`));
    client.end();
    assert.equal(await client.ended(), 'fin');
  });
}

test('hooks: users, denials and records are those of the program', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await start('hooks');
  const as = (login: string, authority: string) => connectTo(authority, `Proxy-Authorization: Basic ${btoa(login)}`);
  const statusOf = async (request: string): Promise<string | undefined> => {
    using client = (await rawClient(proxy.port)).send(request);
    return (await client.until('\r\n\r\n')).split(' ')[1];
  };
  assert.equal(await statusOf(as('alice:wrong', origin.authority)), '407');
  assert.equal(await statusOf(as('alice:wonderland', 'www.forbidden.example:443')), '403');
  assert.equal(await statusOf(as('alice:wonderland', origin.authority)), '200');
  await proxy.prints(/^alice 127\.0\.0\.1 200 undefined$/m);
});

test('custom-limit: a download passes whole, under the limit of the program', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('x'.repeat(100_000))));
  await using proxy = await start('custom-limit');
  using client = (await rawClient(proxy.port)).send(
    `GET http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\nConnection: close\r\n\r\n`,
  );
  assert.equal(await client.ended(), 'fin');
  assert.ok(client.text.endsWith('x'.repeat(100_000)));
  await proxy.prints(/^127\.0\.0\.1 100000 client 127\.0\.0\.1$/m);
});

test('database: PostgreSQL answers through a tunnel', { skip: missing('postgresql') }, async () => {
  await using database = await startPostgres();
  await using proxy = await ProxyUnderTest.start({});
  const url = `postgres://postgres@127.0.0.1:${database.port}/postgres`;
  const { code, out, err } = await run(process.execPath, [pathOf('database'), proxy.proxy.url, url]);
  assert.deepEqual({ code, out, err }, { code: 0, out: 'the answer is 42\n', err: '' });
  assert.equal((await proxy.record()).target?.port, database.port);
});
