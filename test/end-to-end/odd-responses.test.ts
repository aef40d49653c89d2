/**
 * Answers of old origins, which curl and browsers show. They arrive as they should have been written, and their
 * connection serves no other request. Where the end of a message is in doubt they are refused, and the page has the reason.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FailureCode } from '../../src/contracts/failure.ts';
import { messagesIn } from '../support/http-messages.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, echo, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import type { RawPeer } from '../support/raw-client.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';

const DATE = 'Date: Mon, 01 Jan 2024 00:00:00 GMT';
const many = (count: number): string => Array.from({ length: count }, (_, at) => `X-${at}: ${at}\r\n`).join('');

interface Odd {
  readonly what: string;
  /** What the origin sends; `ends`: and closes behind it. */
  readonly answer: string;
  readonly ends?: true;
  /** Fields that the client must be sent, in this order, besides `Date` and `Via`. */
  readonly fields: string;
  /** `hello` by default. */
  readonly body?: string;
}

const ODD: readonly Odd[] = [
  {
    what: 'control characters in a value',
    answer: `HTTP/1.1 200 OK\r\n${DATE}\r\nX-A: a\x01b\r\nX-B: \x1b[31mred\x7f\r\nContent-Length: 5\r\n\r\nhello`,
    fields: 'X-A: a b\r\nX-B: [31mred\r\n',
  },
  {
    what: 'a control character in the reason',
    answer: `HTTP/1.1 200 O\x01K\r\n${DATE}\r\nContent-Length: 5\r\n\r\nhello`,
    fields: '',
  },
  {
    what: 'a head whose lines end in LF',
    answer: `HTTP/1.1 200 OK\n${DATE}\nX-A: 1\nContent-Length: 5\n\nhello`,
    fields: 'X-A: 1\r\n',
  },
  {
    what: 'the head of a script behind the lines of its server',
    answer: `HTTP/1.1 200 OK\r\n${DATE}\r\nContent-Type: text/html\nX-A: 1\n\nhello`,
    ends: true,
    fields: 'Content-Type: text/html\r\nX-A: 1\r\n',
  },
  {
    what: 'a head that ends in LF CRLF, with what looks like its end in its body',
    answer: `HTTP/1.1 200 OK\r\n${DATE}\r\nContent-Length: 12\n\r\na\n\nb\r\n\r\nc\n\r\n`,
    fields: '',
    body: 'a\n\nb\r\n\r\nc\n\r\n',
  },
  {
    what: 'the coding identity',
    answer: `HTTP/1.1 200 OK\r\n${DATE}\r\nTransfer-Encoding: Identity\r\n\r\nhello`,
    ends: true,
    fields: '',
  },
  {
    what: 'chunks in HTTP/1.0',
    answer: `HTTP/1.0 200 OK\r\n${DATE}\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    fields: '',
  },
  {
    what: 'padded chunk sizes',
    answer: `HTTP/1.1 200 OK\r\n${DATE}\r\nTransfer-Encoding: chunked\r\n\r\n5   \r\nhello\r\n0\t \r\n\r\n`,
    fields: '',
  },
  {
    what: 'field names that are none',
    answer: `HTTP/1.1 200 OK\r\n${DATE}\r\nX-A: 1\r\nInvalid Name: x\r\n  folded\r\n: none\r\nX-\xe9: 2\r\nX-B: 1\r\nContent-Length: 5\r\n\r\nhello`,
    fields: 'X-A: 1\r\nX-B: 1\r\n',
  },
  {
    what: 'white space before a colon, and folds',
    answer: `HTTP/1.1 200 OK\r\n${DATE}\r\nX-A : one\r\n two\r\nContent-Length: 5\r\n\r\nhello`,
    fields: 'X-A: one two\r\n',
  },
];

/** Not odd, only large: its connection serves the next request. */
const LARGE: Odd = {
  what: '498 fields',
  answer: `HTTP/1.1 200 OK\r\n${DATE}\r\n${many(498)}Content-Length: 5\r\n\r\nhello`,
  fields: many(498),
};

const PLAIN = `HTTP/1.1 200 OK\r\n${DATE}\r\nContent-Length: 2\r\n\r\nok`;

/** Gives one odd answer, and then those that are as they should be. */
const oddly = (answer: string, ends: boolean) => {
  let first = true;
  return answering((_request, peer) => {
    if (!first) return PLAIN;
    first = false;
    if (ends) setImmediate(() => peer.end());
    return Buffer.from(answer, 'latin1');
  });
};

const get = (authority: string): string => `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;

const answers = (client: RawPeer) =>
  messagesIn(client.received, { kind: 'response' }).filter(({ complete }) => complete);

async function passes(one: Odd, proxy: ProxyUnderTest, asked: string): Promise<void> {
  using client = await proxy.client();
  client.send(asked);
  await client.when((peer) => answers(peer).length === 1, 'an answer');
  const [first] = answers(client);
  assert.equal(first?.body.toString('latin1'), one.body ?? 'hello');
  const lines = first?.head.replace(/^HTTP\/1\.1 200 O ?K\r\n/, '') ?? '';
  const kept = `${lines}\r\n`.replaceAll(/^(?:Date|Via|Transfer-Encoding|Content-Length): .*\r\n/gm, '');
  assert.equal(kept, one.fields);
  client.send(asked);
  await client.when((peer) => answers(peer).length === 2, 'a second answer');
  assert.equal(answers(client)[1]?.body.toString(), 'ok');
}

for (const one of [...ODD, LARGE]) {
  const connections = one === LARGE ? 1 : 2;
  test(
    `${one.what}: the page arrives, well-formed; its origin's connection serves ${connections === 1 ? 'on' : 'no more'}`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen(oddly(one.answer, one.ends === true));
      await using proxy = await ProxyUnderTest.start();
      await passes(one, proxy, get(origin.authority));
      assert.equal(origin.connections.length, connections);
      if (connections === 2) await (await origin.connection(0)).ended();
    }),
  );

  test(
    `${one.what}: the same through an upstream proxy`,
    leavesNothing(async () => {
      await using upstream = await RawOrigin.listen(oddly(one.answer, one.ends === true));
      await using proxy = await ProxyUnderTest.start({ routes: { proxy: `http://${upstream.authority}` } });
      await passes(one, proxy, get('far.test'));
      assert.equal(upstream.connections.length, connections);
    }),
  );

  test(`${one.what}: curl shows what it shows without a proxy`, { skip: missing('curl') }, async () => {
    const bodies: string[] = [];
    for (const way of ['straight', 'through'] as const) {
      await using origin = await RawOrigin.listen(oddly(one.answer, one.ends === true));
      await using proxy = await ProxyUnderTest.start();
      const words = way === 'straight' ? ['--noproxy', '*'] : ['-x', `127.0.0.1:${proxy.port}`];
      const { code, out, err } = await run('curl', ['-sS', ...words, `http://${origin.authority}/`]);
      assert.equal(code, 0, err);
      bodies.push(out);
    }
    assert.deepEqual(bodies, [one.body ?? 'hello', one.body ?? 'hello']);
  });
}

const REFUSED: readonly (readonly [what: string, answer: string, says: string, code?: FailureCode])[] = [
  ['NUL in a value', 'X-A: a\0b\r\nContent-Length: 2\r\n\r\nok', 'a field value holds NUL or a bare CR'],
  [
    'a bare CR in a value',
    'X-A: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok',
    'a field value holds NUL or a bare CR',
  ],
  ['LF inside a value', 'X-A: a\nb\r\nContent-Length: 2\r\n\r\nok', 'a field line has no colon'],
  ['a line without a colon', 'GARBAGE\r\nContent-Length: 2\r\n\r\nok', 'a field line has no colon'],
  [
    'identity and a length',
    'Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok',
    'a length beside the coding identity',
  ],
  ['two lengths', 'Content-Length: 2\r\nContent-Length: 3\r\n\r\nok', 'Content-Length has two values'],
  ['a length with a control character', 'Content-Length: 2\x01\r\n\r\nok', 'Content-Length holds a control character'],
  [
    'a coding with a control character',
    'Transfer-Encoding: \x0bchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    'Transfer-Encoding holds a control character',
  ],
  [
    'a name that is nearly a coding',
    'Transfer-Encoding\x01: chunked\r\nContent-Length: 2\r\n\r\nok',
    'a field name is nearly Content-Length or Transfer-Encoding',
  ],
  [
    'both framings behind a bare LF',
    'X-A: 1\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    'both Transfer-Encoding and Content-Length in a head that is not well-formed',
  ],
  ['gzip', 'Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', 'a transfer coding that is not chunked alone'],
  ['501 fields', `${many(500)}Content-Length: 2\r\n\r\nok`, 'more than 500 field lines', 'origin_head_too_large'],
  ['a bad first chunk', 'Transfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n', 'a chunk size line is not valid'],
];

for (const [what, rest, says, code = 'origin_protocol'] of REFUSED) {
  test(
    `${what}: refused, and the page says what the log says`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen(oddly(`HTTP/1.1 200 OK\r\n${rest}`, false));
      await using proxy = await ProxyUnderTest.start();
      using client = await proxy.client();
      client.send(get(origin.authority));
      await client.until(/, request \S+\.\n$/);
      assert.match(client.text, /^HTTP\/1\.1 502 /);
      assert.ok(client.text.includes(` What is wrong: ${says}.\n`), client.text);
      const { failure, detail } = await proxy.record();
      assert.deepEqual([failure, detail], [code, says]);
      await (await origin.connection(0)).ended();
    }),
  );
}

test(
  'a chunk that is broken behind the first one cuts the response, and is in the log',
  leavesNothing(async () => {
    const chunks = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n2\nok\r\n0\r\n\r\n';
    await using origin = await RawOrigin.listen(oddly(chunks, false));
    await using proxy = await ProxyUnderTest.start();
    using client = await proxy.client();
    client.send(get(origin.authority));
    await client.ended();
    assert.doesNotMatch(client.text, /\r\n0\r\n/);
    assert.equal((await proxy.record()).detail, 'a chunk size line is not valid');
  }),
);

test(
  'an upstream proxy whose answer to CONNECT ends its lines in LF opens a tunnel',
  leavesNothing(async () => {
    await using upstream = await RawOrigin.listen((peer) => {
      peer.socket.once('data', () => {
        peer.send('HTTP/1.0 200 Connection\x01established\nX Y: 1\n\nearly');
        echo(peer);
      });
    });
    await using proxy = await ProxyUnderTest.start({ routes: { proxy: `http://${upstream.authority}` } });
    using client = await proxy.tunnel('far.test:443');
    client.send(' and later');
    await client.until('early and later');
  }),
);

test(
  'a PAC whose server writes an odd head and padded chunks decides',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('through the upstream proxy')));
    const script = `function FindProxyForURL() { return 'PROXY ${origin.authority}'; }`;
    const answer = `HTTP/1.1 200 OK\nX-A: \x01\nBad Name: 1\nTransfer-Encoding: chunked\n\n${script.length.toString(16)}  \r\n${script}\r\n0\r\n\r\n`;
    await using server = await RawOrigin.listen(answering(() => answer));
    await using proxy = await ProxyUnderTest.start({ routes: { pac: `http://${server.authority}/proxy.pac` } });
    using client = await proxy.client();
    client.send(get('far.test'));
    await client.until('through the upstream proxy');
  }),
);
