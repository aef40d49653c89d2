/** How a proxy starts: it listens at once, and no request goes by a route that the first PAC would not have chosen. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { startProxy as startWith } from '../../src/app/start.ts';
import { canSharePorts } from '../../src/cluster/ports.ts';
import { resolveOptions } from '../../src/config/schema.ts';
import { viaduct } from '../support/cli.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** A server of PACs that answers when the test lets it. */
class SlowPac implements AsyncDisposable {
  readonly url: string;
  readonly asked: ServerResponse[] = [];
  readonly #server: ReturnType<typeof createHttp>;
  #heard: () => void = () => undefined;

  private constructor(server: ReturnType<typeof createHttp>) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/proxy.pac`;
    server.on('request', (_, answer: ServerResponse) => {
      this.asked.push(answer);
      this.#heard();
    });
  }

  static async open(): Promise<SlowPac> {
    const server = createHttp().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new SlowPac(server);
  }

  async wasAsked(times: number): Promise<void> {
    while (this.asked.length < times) {
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
  }

  /** To all that have asked. */
  answer(pac: string): void {
    for (const answer of this.asked) answer.end(pac);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await once(probe.close(), 'close');
  return port;
}

const pacTo = (proxy: string): string => `function FindProxyForURL() { return "PROXY ${proxy}" }`;
const get = (authority: string): string =>
  `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`;

/** What a client gets that comes before the PAC was read, and is let through by nothing else. */
async function earlyResponse(relay: 'auto' | 'portable'): Promise<string> {
  await using pac = await SlowPac.open();
  await using origin = await RawOrigin.listen(answering(() => ok('direct')));
  await using upstream = await RawOrigin.listen(answering(() => ok('by the PAC')));
  const port = await freePort();
  let isServing = false;
  const config = resolveOptions({
    listen: `http://127.0.0.1:${port}`,
    log: { format: 'off' },
    relay,
    routes: { pac: pac.url },
  });
  // The clock stands still: the wait for the PAC does not end on a busy machine.
  const starting = startWith(config, { clock: new ManualClock() }).then((proxy) => {
    isServing = true;
    return proxy;
  });
  await pac.wasAsked(1);
  using early = await rawClient(port);
  early.send(get(origin.authority));
  using gone = await rawClient(port);
  gone.send(get(origin.authority)).reset();
  for (let turn = 0; turn < 100; turn++) await nextTurn();
  assert.deepEqual([isServing, early.text, early.ending], [false, '', 'open']);
  pac.answer(pacTo(upstream.authority));
  await using _proxy = await starting;
  await early.ended();
  assert.equal(origin.connections.length, 0);
  return early.text;
}

const SERVED = /^HTTP\/1\.1 200 [\s\S]*by the PAC$/;
/** The thread of scripts has a second of its own for each, in which a busy machine may not load one. */
const TOO_BUSY = /^HTTP\/1\.1 502 [\s\S]*The PAC file that decides has failed/;
const ATTEMPTS_MAX = 4;

for (const relay of ['auto', 'portable'] as const) {
  test(
    `relay ${relay}: a client that comes before the PAC was read is served by it`,
    leavesNothing(async () => {
      let text = await earlyResponse(relay);
      for (let attempt = 1; TOO_BUSY.test(text) && attempt < ATTEMPTS_MAX; attempt++) text = await earlyResponse(relay);
      assert.match(text, SERVED);
    }),
  );
}

test(
  'a PAC that never comes holds clients for 3,050 ms and no longer',
  leavesNothing(async () => {
    await using pac = await SlowPac.open();
    await using origin = await RawOrigin.listen(answering(() => ok('direct')));
    const port = await freePort();
    const clock = new ManualClock();
    const config = resolveOptions({
      listen: `http://127.0.0.1:${port}`,
      log: { format: 'off' },
      routes: { pac: pac.url },
    });
    const starting = startWith(config, { clock });
    await pac.wasAsked(1);
    using early = await rawClient(port);
    early.send(get(origin.authority));
    clock.advance(2_999);
    for (let turn = 0; turn < 100; turn++) await nextTurn();
    assert.equal(early.text, '');
    clock.advance(51);
    await using _proxy = await starting;
    assert.match(await early.until('\r\n\r\n'), /^HTTP\/1\.1 502 /);
    assert.equal(origin.connections.length, 0);
  }),
);

const cannotShare = (await canSharePorts()) ? false : 'ports cannot be shared here';
for (const [workers, skip] of [
  [1, false],
  [2, cannotShare],
] as const) {
  test(`viaduct run with workers: ${workers} reports that it listens when it serves`, { skip }, async () => {
    using state = temporaryFolder();
    await using pac = await SlowPac.open();
    await using origin = await RawOrigin.listen(answering(() => ok('direct')));
    await using upstream = await RawOrigin.listen(answering(() => ok('by the PAC')));
    const port = await freePort();
    const words = ['run', '-l', `127.0.0.1:${port}`, '--pac', pac.url, '--workers', `${workers}`, '--log', 'off'];
    using running = viaduct(words, { XDG_STATE_HOME: join(state.path, 'state') });
    let said = '';
    running.child.stderr?.on('data', (text: string) => {
      said += text;
    });
    await pac.wasAsked(workers);
    const clients = await Promise.all(Array.from({ length: 8 }, () => rawClient(port)));
    for (const client of clients) client.send(get(origin.authority));
    for (let turn = 0; turn < 100; turn++) await nextTurn();
    assert.doesNotMatch(said, /listening on/);
    assert.deepEqual(
      clients.filter(({ text }) => text !== ''),
      [],
    );
    pac.answer(pacTo(upstream.authority));
    await running.says(`listening on http://127.0.0.1:${port}`);
    for (const client of clients) {
      await client.ended();
      // A script has a second to answer, which a busy machine may need to start its thread: then it is 502.
      assert.match(client.text, /^HTTP\/1\.1 (?:200 [\s\S]*by the PAC$|502 )/);
    }
    assert.equal(origin.connections.length, 0);
    running.child.kill('SIGTERM');
    await running.ended;
  });
}
