/**
 * Clients that send requests and leave the answers unread: what they cost, how long they stay, and what a slow one
 * gets.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { type Running, viaduct } from '../support/cli.ts';
import { answering, RawOrigin } from '../support/origin.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { until } from '../support/until.ts';

const MIB = 1_048_576;
/** What one client may cost that reads nothing; without a bound it was 200 MiB a second. */
const COST_MAX = 30 * MIB;
/** The same with garbage that has not been collected yet, which a busy machine lets grow further. */
const COST_WITH_GARBAGE_MAX = 2 * COST_MAX;
const COLLECTED_MS_MAX = 10_000;
const CLOSED_MS_MAX = 20_000;
const LOOK_MS = 10;
const CHUNK_BYTES = 65_536;

const RELAYS = activeRelay('auto') === 'native' ? (['native', 'portable'] as const) : (['portable'] as const);

/** Bytes of a process that are in memory: now, or at most since the start. */
function memoryOf({ child }: Running, which: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return Number(new RegExp(`^${which}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1_024;
}

/** Has a process collect all garbage at SIGUSR2, and give the memory back at once: V8 would keep it for seconds. */
const COLLECTS = `import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc');
process.on('SIGUSR2', () => gc({ type: 'major', flavor: 'last-resort' }));`;

/** What a client has cost a proxy so far, beyond what it had when it was idle. */
class Cost {
  readonly #proxy: Running;
  readonly #idle: number;
  /** The most that was seen between collections, garbage included. */
  most = 0;
  /** What was left of it after each collection. */
  readonly collected: number[] = [];

  constructor(proxy: Running) {
    this.#proxy = proxy;
    this.#idle = memoryOf(proxy, 'VmRSS');
  }

  /** Whether it is bounded: where the most is too much, a collection must bring it below the bound. */
  async isBounded(): Promise<boolean> {
    const most = memoryOf(this.#proxy, 'VmHWM') - this.#idle;
    this.most = Math.max(this.most, most);
    if (most < COST_MAX) return true;
    if (most >= COST_WITH_GARBAGE_MAX) return false;
    this.#proxy.child.kill('SIGUSR2');
    const now = () => memoryOf(this.#proxy, 'VmRSS') - this.#idle;
    const isBelow = await until(() => now() < COST_MAX, 'below the bound', COLLECTED_MS_MAX).then(
      () => true,
      () => false,
    );
    this.collected.push(now());
    // The kernel begins anew with the most that it has seen.
    writeFileSync(`/proc/${this.#proxy.child.pid}/clear_refs`, '5');
    return isBelow;
  }
}

/** Sends `text` over and over and reads nothing until the proxy closes, or `mayGoOn` returns false. */
async function sendUnread(port: number, text: string, mayGoOn: () => Promise<boolean>): Promise<'closed' | 'open'> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let state: 'closed' | 'open' = 'open';
  const closed = new Promise<void>((resolve) => {
    socket.on('error', () => undefined);
    socket.once('close', () => {
      state = 'closed';
      resolve();
    });
  });
  socket.pause();
  await once(socket, 'connect');
  const bytes = Buffer.from(text.repeat(Math.ceil(CHUNK_BYTES / text.length)), 'latin1');
  const untilMs = performance.now() + CLOSED_MS_MAX;
  try {
    while (state === 'open' && performance.now() < untilMs && (await mayGoOn())) {
      if (!socket.writableNeedDrain && socket.write(bytes)) continue;
      // What the proxy keeps is looked at meanwhile, and it may never take more.
      await Promise.race([closed, wait(LOOK_MS)]);
    }
    return state;
  } finally {
    socket.destroy();
  }
}

const LONG = 'x'.repeat(15_000);
/** Answers every request with heads of 60 KB. */
const origin = () =>
  RawOrigin.listen(
    answering(({ startLine }) => {
      const fields = Array.from({ length: 4 }, (_, at) => `X-${at}: ${LONG}\r\n`).join('');
      const [, status = '204'] = /\/(\d+) /.exec(startLine) ?? [];
      if (status === '103') return `HTTP/1.1 103 Early Hints\r\n${fields}\r\n`.repeat(32) + NO_CONTENT;
      if (status === '200') return `HTTP/1.1 200 OK\r\n${fields}Content-Length: 5\r\n\r\n`;
      return `HTTP/1.1 ${status} Fine\r\n${fields}\r\n`;
    }),
  );
const NO_CONTENT = 'HTTP/1.1 204 No Content\r\n\r\n';

const WITHOUT_PASSWORD = 'what needs a password';
/** What writes an answer without moving a body. */
const KINDS: readonly (readonly [what: string, request: (origin: string) => string])[] = [
  ['its own page', () => 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['its own page, which does not exist', () => 'GET /none HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['OPTIONS with Max-Forwards: 0', () => 'OPTIONS http://a.test/ HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n'],
  [
    'TRACE with Max-Forwards: 0',
    () => `TRACE http://a.test/ HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\nX: ${LONG}\r\n\r\n`,
  ],
  ['a target that a rule denies', () => 'GET http://denied.test/ HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['what it may not ask', () => 'TRACE http://a.test/ HTTP/1.1\r\nHost: x\r\nMax-Forwards: all\r\n\r\n'],
  [WITHOUT_PASSWORD, () => 'GET http://a.test/ HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['a HEAD answer', (authority) => `HEAD http://${authority}/200 HTTP/1.1\r\nHost: x\r\n\r\n`],
  ['a 204', (authority) => `GET http://${authority}/204 HTTP/1.1\r\nHost: x\r\n\r\n`],
  ['a 304', (authority) => `GET http://${authority}/304 HTTP/1.1\r\nHost: x\r\n\r\n`],
  ['32 interim answers', (authority) => `GET http://${authority}/103 HTTP/1.1\r\nHost: x\r\n\r\n`],
];

const DENIED = 'access: [{ name: no, deny: { hosts: [denied.test] } }]\n';
const USERS = 'clients: { users: { ann: "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=" } }\n';

for (const relay of RELAYS) {
  for (const [what, request] of KINDS) {
    test(`a client that asks for ${what} and never reads costs a few MiB and is closed (${relay})`, {
      skip: process.platform === 'linux' ? false : 'memory is read from /proc',
    }, async (t) => {
      await using web = await origin();
      using folder = temporaryFolder();
      const path = `${folder.path}/viaduct.yaml`;
      const rules = what === WITHOUT_PASSWORD ? USERS : DENIED;
      writeFileSync(path, `listen: 127.0.0.1:0\nrelay: ${relay}\ntimeouts: { requestBody: 500ms }\n${rules}`);
      using proxy = viaduct(['-c', path, '--pac', 'none', '--log', 'off'], {
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(COLLECTS)}`,
      });
      const port = await proxy.port();
      const cost = new Cost(proxy);
      const end = await sendUnread(port, request(web.authority), () => cost.isBounded());
      const isBounded = await cost.isBounded();
      const collected = cost.collected.map((bytes) => (bytes / MIB).toFixed(1));
      const shown = `${(cost.most / MIB).toFixed(1)} MiB, after collections ${collected.join(', ') || '-'} MiB`;
      t.diagnostic(shown);
      assert.ok(isBounded, shown);
      assert.equal(end, 'closed');
    });
  }
}
