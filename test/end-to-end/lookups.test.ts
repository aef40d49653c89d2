/**
 * Names that no name server answers: what they cost their client, other clients, and everything that needs a thread.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { test } from 'node:test';
import { type Running, viaduct } from '../support/cli.ts';
import { type DnsServer, dnsServer } from '../support/dns-server.ts';
import { RESOLVE_PATIENTLY } from '../support/dnsmasq.ts';
import { isInside, noNamespace, runInside } from '../support/namespace.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { childrenOf } from '../support/processes.ts';
import { RawPeer } from '../support/raw-client.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { msWhenCalm } from '../support/traffic.ts';
import { until } from '../support/until.ts';

/** The promise: a name that is answered does not wait longer for those that are not. */
const TURN_MS = 2_000;
/** Of another client, on a busy machine. */
const AT_ONCE_MS = 1_000;
const A = '127.0.0.1';
const B = '127.0.0.2';
/** Of 128 threads, what one client can hold. */
const CLIENT_MOST = 48;

/** `me:secret`, at bcrypt's cost 10. */
const USERS = 'me:$2b$10$BAp7dE1tOBUc3mG4ij99IuZCgxCCYi1oRV7TQoVD3SFkqcao2qqiW\n';

/** A name server that answers names that begin with `ok`, an origin, and the command as a user runs it. */
class Stage implements AsyncDisposable {
  readonly dns: DnsServer;
  readonly #origin: RawOrigin;
  readonly #proxy: Running;
  readonly #port: number;

  private constructor(dns: DnsServer, origin: RawOrigin, proxy: Running, port: number) {
    this.dns = dns;
    this.#origin = origin;
    this.#proxy = proxy;
    this.#port = port;
  }

  static async start(words: readonly string[] = [], environment: Readonly<Record<string, string>> = {}) {
    const dns = await dnsServer((name) => (name.startsWith('ok') ? { address: '127.0.0.1' } : 'nothing'), 53);
    const origin = await RawOrigin.listen(answering(() => ok('healthy')));
    const settings = ['--listen', '127.0.0.1:0', '--log', 'json', ...words];
    const proxy = viaduct(words.includes('--pac') ? settings : [...settings, '--pac', 'none'], environment);
    const port = await proxy.port();
    return new Stage(dns, origin, proxy, port);
  }

  get pid(): number {
    return this.#proxy.child.pid ?? 0;
  }

  /** A client that wants to reach this name, from this address. */
  async ask(name: string, from: string, fields = ''): Promise<RawPeer> {
    const socket = connect({ port: this.#port, host: '127.0.0.1', localAddress: from, allowHalfOpen: true });
    await once(socket, 'connect');
    const authority = `${name}:${this.#origin.port}`;
    return new RawPeer(socket).send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${fields}\r\n`);
  }

  /** So many clients whose names are not answered, once the first of these have been asked for. */
  async hang(count: number, nameOf: (at: number) => string, from = A, fields = ''): Promise<RawPeer[]> {
    const before = this.dns.names.size;
    const clients: RawPeer[] = [];
    for (let at = 0; at < count; at++) clients.push(await this.ask(nameOf(at), from, fields));
    await until(() => this.dns.names.size > before, 'the name server is asked');
    return clients;
  }

  /** How long a name that is answered takes, in milliseconds. */
  async takes(name: string, from: string, fields = ''): Promise<number> {
    const fromMs = performance.now();
    using client = await this.ask(name, from, fields);
    const head = await client.until('\r\n\r\n', 35_000);
    assert.match(head, /^HTTP\/1\.1 200 /, name);
    return performance.now() - fromMs;
  }

  /** Resolves when so many requests have been accounted for. */
  async closed(count: number): Promise<void> {
    let lines = 0;
    for await (const chunk of this.#proxy.child.stdout ?? []) {
      lines += String(chunk).split('\n').length - 1;
      if (lines >= count) return;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#proxy[Symbol.dispose]();
    await this.#proxy.ended;
    await this.#origin[Symbol.asyncDispose]();
    await this.dns[Symbol.asyncDispose]();
  }
}

const own = (at: number): string => `dead${at}.test`;
const ofZone = (at: number): string => `host${at}.split.example`;

async function assertOthersGoOn(stage: Stage, name = 'ok', fields = ''): Promise<void> {
  for (let at = 0; at < 4; at++) {
    // A name of its own each time, since names that were found are remembered.
    const otherMs = await msWhenCalm(AT_ONCE_MS, (n) => stage.takes(`${name}-b${at}-${n}.test`, B, fields));
    assert.ok(otherMs < AT_ONCE_MS, `another client waits ${otherMs} ms`);
    const sameMs = await msWhenCalm(TURN_MS, (n) => stage.takes(`${name}-a${at}-${n}.test`, A, fields));
    assert.ok(sameMs < TURN_MS, `another name of the client waits ${sameMs} ms`);
  }
}

function tests(): void {
  for (const [count, nameOf, what] of [
    [8, own, 'names of 8 domains'],
    [40, own, 'names of 40 domains'],
    [160, own, 'names of 160 domains'],
    [160, ofZone, 'names of one zone'],
  ] as const) {
    test(`${count} ${what} that are not answered do not stop others, of the same client or of another`, async () => {
      await using stage = await Stage.start();
      const hanging = await stage.hang(count, nameOf);
      await assertOthersGoOn(stage);
      assert.ok(hanging.every(({ text }) => text === ''));
      for (const client of hanging) client[Symbol.dispose]();
    });
  }

  test('other names of a zone that is not answered have their turn, too', async () => {
    await using stage = await Stage.start();
    const hanging = await stage.hang(160, (at) => `host${at}.half.example`);
    for (const [name, from, ms] of [
      ['ok1.half.example', B, AT_ONCE_MS],
      ['ok2.half.example', A, TURN_MS],
    ] as const) {
      const tookMs = await stage.takes(name, from);
      assert.ok(tookMs < ms, `${name}: ${tookMs} ms`);
    }
    for (const client of hanging) client[Symbol.dispose]();
  });

  test('names of clients that have gone are not looked up, and lookups that have begun stop no other name', async () => {
    await using stage = await Stage.start();
    const gone = await stage.hang(160, own);
    const closed = stage.closed(160);
    for (const client of gone) client[Symbol.dispose]();
    await closed;
    await assertOthersGoOn(stage);
    const dead = [...stage.dns.names].filter((name) => name.startsWith('dead'));
    assert.ok(dead.length <= CLIENT_MOST, `${dead.length} names were asked for`);
  });

  test('the dead tabs of a browser: 16 requests that were closed cost the next name nothing', async () => {
    await using stage = await Stage.start();
    const gone = await stage.hang(16, own);
    await until(() => stage.dns.names.size >= 16, 'all names are asked for');
    const closed = stage.closed(16);
    for (const client of gone) client[Symbol.dispose]();
    await closed;
    const ms = await stage.takes('ok.test', A);
    assert.ok(ms < AT_ONCE_MS, `${ms} ms`);
  });

  test('a PAC that resolves names goes on deciding while other names hang', async () => {
    using folder = temporaryFolder();
    const pac = `${folder.path}/proxy.pac`;
    writeFileSync(pac, 'function FindProxyForURL(url, host) { return dnsResolve(host) ? "DIRECT" : "DIRECT"; }');
    await using stage = await Stage.start(['--pac', pac]);
    const hanging = await stage.hang(40, own);
    await assertOthersGoOn(stage);
    for (const client of hanging) client[Symbol.dispose]();
  });

  test('passwords are checked and files are read while names hang', async () => {
    using folder = temporaryFolder();
    const users = `${folder.path}/users`;
    writeFileSync(users, USERS);
    await using stage = await Stage.start(['--auth', users]);
    const fields = `Proxy-Authorization: Basic ${Buffer.from('me:secret').toString('base64')}\r\n`;
    const hanging = await stage.hang(100, own, A, fields);
    await assertOthersGoOn(stage, 'ok', fields);
    for (const client of hanging) client[Symbol.dispose]();
  });

  test('with four threads a client still leaves one of the two that look up names to others', async () => {
    await using stage = await Stage.start([], { UV_THREADPOOL_SIZE: '4' });
    const hanging = await stage.hang(40, own);
    for (let at = 0; at < 4; at++) {
      const ms = await stage.takes(`ok${at}.test`, B);
      assert.ok(ms < AT_ONCE_MS, `${ms} ms`);
    }
    for (const client of hanging) client[Symbol.dispose]();
  });

  test('workers have as many threads as a single process', async () => {
    await using stage = await Stage.start(['--workers', '2']);
    const workers = childrenOf(stage.pid);
    assert.equal(workers.length, 2);
    for (const pid of workers)
      assert.match(readFileSync(`/proc/${pid}/environ`, 'latin1'), /(?:^|\0)UV_THREADPOOL_SIZE=\d{2,3}\0/);
    const hanging = await stage.hang(160, own);
    await assertOthersGoOn(stage);
    for (const client of hanging) client[Symbol.dispose]();
  });
}

if (isInside()) tests();
else {
  const skip = noNamespace();
  test('names that are not answered', { skip, timeout: 120_000 }, () => runInside(import.meta.url, RESOLVE_PATIENTLY));
}
