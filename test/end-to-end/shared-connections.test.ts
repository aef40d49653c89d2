/**
 * Origins that send more than one response to a request: the excess reaches no client but the one that sent the
 * request.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ConfigInput } from '../../src/config/schema.ts';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { messagesIn } from '../support/http-messages.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';

const RELAYS = activeRelay('auto') === 'native' ? (['native', 'portable'] as const) : (['portable'] as const);
const ROUNDS = 100;

const HIDDEN = ok('hidden', 'X-Hidden: yes');
const secret = 'GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n';

/**
 * Reads heads and no bodies: what a request carries is the next request to it, which it answers when one more has come.
 */
function ignoresBodies(peer: RawPeer): void {
  let from = 0;
  let late = '';
  peer.socket.on('data', () => {
    for (let end = peer.text.indexOf('\r\n\r\n', from); end >= 0; end = peer.text.indexOf('\r\n\r\n', from)) {
      const [startLine] = /(?:GET|POST|PUT) .* HTTP\/1\.1/.exec(peer.text.slice(from, end)) ?? [];
      from = end + 4;
      if (startLine?.includes('/hidden')) late = HIDDEN;
      else if (startLine !== undefined) {
        peer.send(late + ok(startLine));
        late = '';
      }
    }
  });
  peer.socket.on('end', () => peer.end());
}

type When = 'at once' | 'in a moment' | 'with the next answer';
/** Answers `/odd` with `head`, and then with what does not belong there. */
const says =
  (head: string, more: string, when: When) =>
  (peer: RawPeer): void => {
    let late = '';
    answering(({ startLine }) => {
      const before = late;
      late = '';
      if (!startLine.includes('/odd')) return before + ok(startLine);
      if (when === 'at once') return before + head + more;
      if (when === 'in a moment') setImmediate(() => peer.send(more));
      else late = more;
      return before + head;
    })(peer);
  };

interface Fault {
  readonly what: string;
  readonly serve: (peer: RawPeer) => void;
  readonly request: (url: string, fields: string) => string;
}
const odd =
  (method: string) =>
  (url: string, fields: string): string =>
    `${method} ${url}/odd HTTP/1.1\r\nHost: x\r\n${fields}\r\n`;
const length = `Content-Length: ${HIDDEN.length}`;
const FAULTS: readonly Fault[] = [
  {
    what: 'takes a body for the next request',
    serve: ignoresBodies,
    request: (url, fields) =>
      `POST ${url}/odd HTTP/1.1\r\nHost: x\r\n${fields}Content-Length: ${secret.length}\r\n\r\n${secret}`,
  },
  {
    what: 'takes chunks for the next request',
    serve: ignoresBodies,
    request: (url, fields) =>
      `PUT ${url}/odd HTTP/1.1\r\nHost: x\r\n${fields}Transfer-Encoding: chunked\r\n\r\n${(secret.length).toString(16)}\r\n${secret}\r\n0\r\n\r\n`,
  },
  ...(['at once', 'in a moment', 'with the next answer'] as const).flatMap((when): Fault[] => [
    {
      what: `sends a body behind a HEAD answer, ${when}`,
      serve: says(`HTTP/1.1 200 OK\r\n${length}\r\n\r\n`, HIDDEN, when),
      request: odd('HEAD'),
    },
    {
      what: `sends a body behind a 304, ${when}`,
      serve: says(`HTTP/1.1 304 Not Modified\r\n${length}\r\n\r\n`, HIDDEN, when),
      request: odd('GET'),
    },
    {
      what: `sends a body behind a 204, ${when}`,
      serve: says('HTTP/1.1 204 No Content\r\n\r\n', HIDDEN, when),
      request: odd('GET'),
    },
    {
      what: `sends chunks behind a HEAD answer, ${when}`,
      serve: says('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', HIDDEN, when),
      request: odd('HEAD'),
    },
    {
      what: `sends another answer behind a whole one, ${when}`,
      serve: says(ok('whole'), HIDDEN, when),
      request: odd('GET'),
    },
    {
      what: `sends another answer behind the last chunk, ${when}`,
      serve: says('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', HIDDEN, when),
      request: odd('GET'),
    },
  ]),
];

const as = (user: string): string =>
  `Proxy-Authorization: Basic ${Buffer.from(`${user}:secret`).toString('base64')}\r\n`;
const HASH = '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=';
const USERS: ConfigInput = { clients: { users: { ann: HASH, bob: HASH } } };

const answersOf = (client: RawPeer): number => [...client.text.matchAll(/HTTP\/1\.1 \d+ /g)].length;

/**
 * Ann's request, and right behind its answer Bob's, over connections of their own; both never see more than is theirs.
 */
async function takeTurns(ann: RawPeer, bob: RawPeer, odd: string, plain: (round: number) => string): Promise<number> {
  let wrong = 0;
  for (let round = 0; round < ROUNDS; round++) {
    ann.forget(ann.bytesReceived);
    bob.forget(bob.bytesReceived);
    ann.send(odd);
    await ann.when((peer) => answersOf(peer) > 0, 'answer to Ann');
    bob.send(plain(round));
    await bob.when((peer) => messagesIn(peer.received, { kind: 'response' })[0]?.complete === true, 'answer to Bob');
    if (!bob.text.includes(`/plain${round} HTTP/1.1`)) wrong += 1;
  }
  return wrong;
}

for (const relay of RELAYS) {
  for (const { what, serve, request } of FAULTS) {
    test(
      `an origin ${what}: another user never gets it (${relay})`,
      leavesNothing(async () => {
        await using origin = await RawOrigin.listen(serve);
        await using proxy = await ProxyUnderTest.start({ relay, ...USERS });
        using ann = await proxy.client();
        using bob = await proxy.client();
        const url = `http://${origin.authority}`;
        const plain = (round: number) => `GET ${url}/plain${round} HTTP/1.1\r\nHost: x\r\n${as('bob')}\r\n`;
        assert.equal(await takeTurns(ann, bob, request(url, as('ann')), plain), 0);
      }),
    );
  }

  test(
    `an upstream proxy that takes a body for the next request: another user never gets it (${relay})`,
    leavesNothing(async () => {
      await using upstream = await RawOrigin.listen(ignoresBodies);
      const routes = { proxy: `http://${upstream.authority}` };
      await using proxy = await ProxyUnderTest.start({ relay, routes, ...USERS });
      using ann = await proxy.client();
      using bob = await proxy.client();
      const head = `POST http://a.test/odd HTTP/1.1\r\nHost: x\r\n${as('ann')}Content-Length: ${secret.length}\r\n\r\n`;
      const plain = (round: number) => `GET http://b.test/plain${round} HTTP/1.1\r\nHost: x\r\n${as('bob')}\r\n`;
      assert.equal(await takeTurns(ann, bob, head + secret, plain), 0);
    }),
  );

  test(
    `without users, the address of a client stands for its user (${relay})`,
    { skip: process.platform === 'linux' ? false : 'needs 127.0.0.2' },
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen(ignoresBodies);
      await using proxy = await ProxyUnderTest.start({ relay });
      using ann = await proxy.client();
      using bob = await rawClient(proxy.port, '127.0.0.1', '127.0.0.2');
      const url = `http://${origin.authority}`;
      const plain = (round: number) => `GET ${url}/plain${round} HTTP/1.1\r\nHost: x\r\n\r\n`;
      const head = `POST ${url}/odd HTTP/1.1\r\nHost: x\r\nContent-Length: ${secret.length}\r\n\r\n`;
      assert.equal(await takeTurns(ann, bob, head + secret, plain), 0);
    }),
  );

  for (const [what, more] of [
    ['an answer that no request asked for', HIDDEN],
    ['nothing', ''],
  ] as const) {
    test(
      `a connection that has carried a body serves the same user when it was quiet for 10 ms; ${what} comes (${relay})`,
      leavesNothing(async () => {
        const clock = new ManualClock();
        await using origin = await RawOrigin.listen(answering(({ startLine }) => ok(startLine)));
        await using proxy = await ProxyUnderTest.start({ relay }, { clock });
        using client = await proxy.client();
        const url = `http://${origin.authority}`;
        client.send(`POST ${url}/post HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody`);
        await client.until('POST /post HTTP/1.1');
        client.send(`GET ${url}/get HTTP/1.1\r\nHost: x\r\n\r\n`);
        await proxy.when(({ events }) => events.filter(({ type }) => type === 'routed').length === 2);
        await clock.pass(9);
        const first = await origin.connection();
        assert.doesNotMatch(origin.text, /\/get/);
        if (more !== '') {
          first.send(more);
          await first.ended();
        } else await clock.pass(1);
        await client.until('GET /get HTTP/1.1');
        assert.doesNotMatch(client.text, /hidden/);
        assert.equal(origin.connections.length, more === '' ? 1 : 2);
      }),
    );
  }

  test(
    `a connection on which the answer came before the whole request serves no other (${relay})`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen((peer) => {
        peer.socket.once('data', () => peer.send(ok('early')));
        peer.socket.on('end', () => peer.end());
      });
      await using proxy = await ProxyUnderTest.start({ relay });
      using client = await proxy.client();
      const url = `http://${origin.authority}`;
      client.send(`POST ${url}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo`);
      await client.until('early');
      client.send('dy');
      const first = await origin.connection();
      assert.equal(await first.ended(), 'fin');
      assert.match(first.text, /\r\n\r\nbody$/);
    }),
  );

  test(
    `an origin that answers and never reads is given no more than its buffers hold (${relay})`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen((peer) => peer.socket.pause());
      await using proxy = await ProxyUnderTest.start({ relay });
      using client = await proxy.client();
      const long = `X-Long: ${'x'.repeat(15_000)}\r\n`.repeat(4);
      const request = `GET http://${origin.authority}/ HTTP/1.1\r\nHost: x\r\n${long}\r\n`;
      let isAnother = false;
      void origin.connection(1).then(() => {
        isAnother = true;
      });
      for (let round = 1; round <= 400; round++) {
        client.forget(client.bytesReceived);
        client.send(request);
        await proxy.when(({ events }) => events.filter(({ type }) => type === 'routed').length === round);
        (await origin.connection()).send(ok('blind'));
        while (answersOf(client) === 0 && !isAnother) await nextTurn();
        if (isAnother) return;
      }
      assert.fail('400 heads of 60 KB went to one connection');
    }),
  );
}
