/**
 * Web servers that log on connections (NTLM, Negotiate): the connection of such a server belongs to one client connection,
 * and both end together. A client on the connection of another would be that user.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ConfigInput, resolveOptions } from '../../src/config/schema.ts';
import { messagesIn } from '../support/http-messages.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { NtlmOrigin, type NtlmOriginOptions, ntlmHello, ntlmProof } from '../support/ntlm-origin.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import type { RawPeer } from '../support/raw-client.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';

const request = (authority: string, fields: readonly string[] = [], method = 'GET', body = ''): string => {
  const length = method === 'POST' ? [`Content-Length: ${body.length}`] : [];
  const lines = [`${method} http://${authority}/ HTTP/1.1`, `Host: ${authority}`, ...fields, ...length];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
};

/** A client connection that sends one request after the other. */
class Client implements Disposable {
  readonly peer: RawPeer;
  readonly #authority: string;
  #count = 0;

  constructor(peer: RawPeer, authority: string) {
    this.peer = peer;
    this.#authority = authority;
  }

  /** The answer to one request: its status and page, and its head. */
  async ask(fields: readonly string[] = [], method = 'GET', body = '', authority = this.#authority) {
    this.peer.send(request(authority, fields, method, body));
    const at = this.#count++;
    const answers = () =>
      messagesIn(this.peer.received, { kind: 'response', ended: this.peer.ending !== 'open' }).filter(
        ({ complete }) => complete,
      );
    await this.peer.when(() => answers().length > at, `answer ${at}`);
    const answer = answers()[at];
    if (answer === undefined) throw new Error('no answer');
    return { says: `${answer.startLine.split(' ')[1]} ${answer.body.toString().trim()}`, head: answer.head };
  }

  /** Both messages of NTLM. */
  async logIn(user: string, ...fields: string[]): Promise<string> {
    const { says } = await this.ask([...fields, ntlmHello()]);
    assert.equal(says, '401 who');
    return (await this.ask([...fields, ntlmProof(user)])).says;
  }

  [Symbol.dispose](): void {
    this.peer[Symbol.dispose]();
  }
}

const clientOf = async (proxy: ProxyUnderTest, { authority }: { readonly authority: string }): Promise<Client> =>
  new Client(await proxy.client(), authority);

interface Setup {
  readonly origin: NtlmOrigin;
  readonly proxy: ProxyUnderTest;
  readonly client: Client;
}
interface SetupOptions {
  readonly origin?: NtlmOriginOptions;
  readonly clients?: ConfigInput['clients'];
}

/** A test body with an origin that logs on connections, a proxy, and a client of that proxy. */
const withClient = (body: (setup: Setup) => Promise<void>, { origin: manners, clients }: SetupOptions = {}) =>
  leavesNothing(async () => {
    await using origin = await NtlmOrigin.listen(manners);
    await using proxy = await ProxyUnderTest.start(clients === undefined ? {} : { clients });
    using client = await clientOf(proxy, origin);
    await body({ origin, proxy, client });
  });

/** The same with a client that is logged on as alice, on the first connection of the origin. */
const withAlice = (body: (setup: Setup) => Promise<void>) =>
  withClient(async (setup) => {
    assert.equal(await setup.client.logIn('alice'), '200 CORP\\alice on 0');
    await body(setup);
  });

test('curl --ntlm logs on once, and its next requests are served as its user', { skip: missing('curl') }, async () => {
  await using origin = await NtlmOrigin.listen();
  await using proxy = await ProxyUnderTest.start();
  const url = `http://${origin.authority}/`;
  const words = ['-sS', '--noproxy', '', '-x', `127.0.0.1:${proxy.port}`, '--ntlm', '-u', 'CORP\\alice:secret'];
  const { out, err } = await run('curl', [...words, url, `${url}2`, '-d', 'paid', `${url}3`]);
  assert.equal(out, 'CORP\\alice on 0 with paid\n'.repeat(3), err);
  assert.equal(origin.logins, 1);
  assert.equal(origin.origin.connections.length, 1);
});

test('two curls at once are each served as their own user, and so is each later one', {
  skip: missing('curl'),
}, async () => {
  await using origin = await NtlmOrigin.listen({ challenges: ['Negotiate', 'NTLM'] });
  await using proxy = await ProxyUnderTest.start();
  const urls = Array.from({ length: 15 }, (_, at) => `http://${origin.authority}/${at}`);
  const fetched = await Promise.all(
    ['alice', 'bob', 'carol', 'alice'].map(async (user) => {
      const words = ['-sS', '--noproxy', '', '-x', `127.0.0.1:${proxy.port}`, '--ntlm', '-u', `CORP\\${user}:secret`];
      const { out, err } = await run('curl', [...words, ...urls]);
      return { user, lines: out.trim().split('\n'), err };
    }),
  );
  for (const { user, lines, err } of fetched) {
    assert.equal(lines.length, urls.length, err);
    assert.equal(new Set(lines).size, 1, `${lines}`);
    assert.match(lines[0] ?? '', new RegExp(`^CORP\\\\${user} on \\d+$`));
  }
  const { out } = await run('curl', ['-sS', '--noproxy', '', '-x', `127.0.0.1:${proxy.port}`, urls[0] ?? '']);
  assert.equal(out, 'who');
});

test(
  'the challenge arrives with Proxy-Support for this hop, and what is not bound to connections is left as it is',
  withClient(
    async ({ client }) => {
      const { head } = await client.ask();
      assert.match(head, /^Proxy-Support: Session-Based-Authentication\r?$/m);
      assert.match(head, /^Connection: Proxy-Support\r?$/m);
      assert.deepEqual(
        head.match(/^WWW-Authenticate: .*$/gm),
        ['WWW-Authenticate: Basic realm="a, NTLM"', 'WWW-Authenticate: Negotiate', 'WWW-Authenticate: NTLM'].map(
          (line) => line,
        ),
      );
      await using plain = await RawOrigin.listen(
        answering(() =>
          ok('ok', 'WWW-Authenticate: Basic realm="NTLM, Negotiate"', 'Proxy-Support: Session-Based-Authentication'),
        ),
      );
      const other = await client.ask([], 'GET', '', plain.authority);
      assert.doesNotMatch(other.head, /Proxy-Support/i);
    },
    { origin: { challenges: ['Basic realm="a, NTLM"', 'Negotiate', 'NTLM'] } },
  ),
);

test(
  'two clients in the middle of their logins, and a third one: none is served on a connection of another',
  leavesNothing(async () => {
    await using origin = await NtlmOrigin.listen();
    await using proxy = await ProxyUnderTest.start();
    using alice = await clientOf(proxy, origin);
    using bob = await clientOf(proxy, origin);
    assert.equal((await alice.ask([ntlmHello()])).says, '401 who');
    assert.equal((await bob.ask([ntlmHello()])).says, '401 who');
    assert.equal((await bob.ask([ntlmProof('bob')])).says, '200 CORP\\bob on 1');
    assert.equal((await alice.ask([ntlmProof('alice')])).says, '200 CORP\\alice on 0');
    for (let round = 0; round < 3; round++) {
      using stranger = await clientOf(proxy, origin);
      assert.equal((await stranger.ask()).says, '401 who');
      assert.equal((await alice.ask()).says, '200 CORP\\alice on 0');
      assert.equal((await bob.ask([], 'POST', 'paid')).says, '200 CORP\\bob on 1 with paid');
      assert.equal((await alice.ask([], 'POST', 'owed')).says, '200 CORP\\alice on 0 with owed');
    }
  }),
);

test(
  'a client that leaves takes its connection with the origin along',
  withAlice(async ({ origin, client }) => {
    client[Symbol.dispose]();
    await (await origin.origin.connection(0)).ended();
  }),
);

for (const [what, end] of [
  ['closes', (peer: RawPeer) => void peer.end()],
  ['resets', (peer: RawPeer) => peer.reset()],
  ['sends an unasked response on', (peer: RawPeer) => void peer.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')],
] as const) {
  test(
    `an origin that ${what} the connection ends that of its client, too`,
    withAlice(async ({ origin, client }) => {
      const seen = client.peer.bytesReceived;
      end(await origin.origin.connection(0));
      await client.peer.ended();
      assert.equal(client.peer.bytesReceived, seen);
    }),
  );
}

test(
  'an origin that ends the connection with its answer passes that on to the client, which starts again',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(
      answering((_request, peer) => {
        const isFirst = peer.text.split('GET ').length === 2;
        const fields = `WWW-Authenticate: NTLM\r\n${isFirst ? '' : 'Connection: close\r\n'}`;
        return `HTTP/1.1 401 Who\r\n${fields}Content-Length: 3\r\n\r\nwho`;
      }),
    );
    await using proxy = await ProxyUnderTest.start();
    using client = await clientOf(proxy, origin);
    assert.doesNotMatch((await client.ask()).head, /Connection: close/i);
    assert.match((await client.ask()).head, /^Connection: close\r?$/m);
    await client.peer.ended();
    assert.equal(origin.connections.length, 1);
  }),
);

test(
  'requests of the same client to other origins use other connections, and its own connection stays its own',
  withAlice(async ({ origin, client }) => {
    await using other = await NtlmOrigin.listen({ challenges: ['Basic realm="x"'] });
    assert.equal((await client.ask([], 'GET', '', other.authority)).says, '401 who');
    assert.equal((await client.ask()).says, '200 CORP\\alice on 0');
    // Another origin that logs on connections takes its place.
    assert.equal((await client.ask([ntlmHello()], 'GET', '', other.authority)).says, '401 who');
    assert.equal((await client.ask([ntlmProof('bob')], 'GET', '', other.authority)).says, '200 CORP\\bob on 0');
    await (await origin.origin.connection(0)).ended();
    assert.equal((await client.ask()).says, '401 who');
  }),
);

const USERS = { users: { alice: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=', bob: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' } };
const as = (user: string): string => `Proxy-Authorization: Basic ${Buffer.from(`${user}:secret`).toString('base64')}`;

test(
  'another user on the same client connection is not served on it, and no challenge is passed on from then on',
  withClient(
    async ({ origin, client }) => {
      assert.equal(await client.logIn('alice', as('alice')), '200 CORP\\alice on 0');
      assert.equal((await client.ask([as('alice')])).says, '200 CORP\\alice on 0');
      const { says, head } = await client.ask([as('bob')]);
      assert.equal(says, '401 who');
      assert.deepEqual(head.match(/^WWW-Authenticate: .*$/gm), ['WWW-Authenticate: Basic realm="x"']);
      assert.doesNotMatch(head, /Proxy-Support/i);
      await (await origin.origin.connection(0)).ended();
      assert.equal((await client.ask([as('alice')])).says, '401 who');
      assert.equal((await client.ask([as('alice'), ntlmHello()])).head.match(/NTLM/), null);
    },
    { origin: { challenges: ['NTLM', 'Basic realm="x"'] }, clients: USERS },
  ),
);

test(
  'a client that is a proxy gets no challenge that binds a connection, and the log says so',
  withClient(
    async ({ origin, proxy, client }) => {
      const { says, head } = await client.ask(['Via: 1.1 downstream']);
      assert.equal(says, '401 who');
      assert.deepEqual(head.match(/^WWW-Authenticate: .*$/gm), ['WWW-Authenticate: Basic realm="a, b"']);
      assert.doesNotMatch(head, /Proxy-Support/i);
      await (await origin.origin.connection(0)).ended();
      // Also for what came before and after on the same connection.
      assert.doesNotMatch((await client.ask()).head, /NTLM|Negotiate/);
      const { detail, failure } = await proxy.record();
      assert.match(detail ?? '', /^left out the challenges Negotiate, NTLM, NTLM, Negotiate, Kerberos: .*Via/);
      assert.equal(failure, undefined);
      const notices = proxy.events.filter((event) => event.type === 'notice');
      assert.equal(notices.length, 1, 'once for a client connection');
      assert.match(JSON.stringify(notices), /left out .*NTLM/);
    },
    {
      origin: {
        challenges: ['Negotiate, Basic realm="a, b", NTLM', 'NTLM', 'Negotiate abc=', 'Kerberos'],
      },
    },
  ),
);

test(
  'a ticket that a client behind a proxy sends unasked logs on its request alone, and the proof of the server arrives',
  withClient(
    async ({ origin, client }) => {
      const { says, head } = await client.ask(['Via: 1.1 downstream', 'Authorization: Negotiate YWJj']);
      assert.equal(says, '200 alice on 0');
      assert.match(head, /^WWW-Authenticate: Negotiate cHJvb2Y=\r?$/m);
      await (await origin.origin.connection(0)).ended();
      assert.equal((await client.ask(['Via: 1.1 downstream'])).says, '401 who');
    },
    { origin: { ticketOf: () => ({ user: 'alice', answer: Buffer.from('proof') }), challenges: ['Negotiate'] } },
  ),
);

// Many proxies write no Via, and send the requests of many clients over one connection.
for (const field of ['Via: 1.1 downstream', 'X-Forwarded-For: 192.0.2.1', 'Forwarded: for=192.0.2.1']) {
  test(
    `a logged-on connection serves no request behind it that has ${field}`,
    withAlice(async ({ client }) => {
      const { says, head } = await client.ask([field]);
      assert.equal(says, '401 who');
      assert.doesNotMatch(head, /^WWW-Authenticate: NTLM/m);
      assert.equal((await client.ask()).says, '401 who');
    }),
  );
}

for (const supports of [true, false]) {
  test(
    `through an upstream proxy that ${supports ? 'keeps such connections together' : 'does not say that it does'}`,
    leavesNothing(async () => {
      // It plays both the upstream proxy and the origin behind it.
      const fields = supports ? ['Proxy-Support: session-based-AUTHENTICATION', 'Connection: Proxy-support'] : [];
      await using upstream = await NtlmOrigin.listen({ fields });
      await using proxy = await ProxyUnderTest.start({ routes: { proxy: `http://${upstream.authority}` } });
      using client = new Client(await proxy.client(), 'far.test');
      const { head } = await client.ask([ntlmHello()]);
      assert.match(head, /^WWW-Authenticate: NTLM /m);
      assert.equal(/^Proxy-Support: Session-Based-Authentication\r?$/m.test(head), supports);
      const { says } = await client.ask([ntlmProof('alice')]);
      assert.equal(says, supports ? '200 CORP\\alice on 0' : '401 who');
      using stranger = new Client(await proxy.client(), 'far.test');
      assert.equal((await stranger.ask()).says, '401 who');
      if (!supports) return;
      assert.equal((await client.ask([], 'POST', 'paid')).says, '200 CORP\\alice on 0 with paid');
      // The connection with the upstream proxy leads to one origin only.
      assert.equal((await client.ask([], 'GET', '', 'other.test')).says, '401 who');
      assert.deepEqual(
        upstream.visits.filter(({ connection }) => connection === 0).map(({ line }) => line),
        ['GET http://far.test/ HTTP/1.1', 'GET http://far.test/ HTTP/1.1', 'POST http://far.test/ HTTP/1.1'],
      );
    }),
  );
}

test(
  'what cannot be sent twice fails on a connection that turns out to be closed, and ends that of its client',
  withAlice(async ({ origin, client }) => {
    const peer = await origin.origin.connection(0);
    peer.socket.removeAllListeners('data');
    peer.socket.on('data', () => peer.socket.destroy());
    const { says, head } = await client.ask([], 'POST', 'paid');
    assert.match(says, /^502 /);
    assert.match(head, /^Connection: close\r?$/m);
    await client.peer.ended();
    assert.equal(origin.origin.connections.length, 1);
  }),
);

test(
  'a reload ends what was logged on before: the client is asked again',
  withAlice(async ({ origin, proxy, client }) => {
    await proxy.proxy.reload(resolveOptions({ listen: 'http://127.0.0.1:0', log: { format: 'off' } }));
    assert.equal((await client.ask()).says, '401 who');
    await (await origin.origin.connection(0)).ended();
    assert.equal(await client.logIn('alice'), '200 CORP\\alice on 1');
  }),
);

test(
  'an upgrade is asked for on the connection that the client has to itself',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(
      answering(({ fields }, peer) => {
        if (fields.has('upgrade')) {
          const isOn = peer.text.includes('Authorization: NTLM');
          return `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n${isOn ? 'in' : 'out'}`;
        }
        return ok('ok', 'WWW-Authenticate: Negotiate oQcwBaADCgEA');
      }),
    );
    await using proxy = await ProxyUnderTest.start();
    using client = await clientOf(proxy, origin);
    assert.equal((await client.ask([ntlmHello()])).says, '200 ok');
    client.peer.send(request(origin.authority, ['Connection: Upgrade', 'Upgrade: websocket']));
    await client.peer.until(/\r\n\r\nin$/);
    assert.equal(origin.connections.length, 1);
  }),
);

test(
  'a request that finds the connection closed is sent again where that is harmless, and the client logs on again',
  withAlice(async ({ origin, client }) => {
    let closes = false;
    const peer = await origin.origin.connection(0);
    peer.socket.removeAllListeners('data');
    peer.socket.on('data', () => {
      closes = true;
      peer.socket.destroy();
    });
    assert.equal((await client.ask()).says, '401 who');
    assert.equal(closes, true);
    assert.equal(await client.logIn('alice'), '200 CORP\\alice on 1');
  }),
);
