/** Clients that send wrong passwords are served in turn with all others, and wait for their own guesses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashSync } from '@node-rs/bcrypt';
import { resolveOptions } from '../../src/config/schema.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';

/** Slow enough that 200 comparisons take seconds; each cost takes twice as long as the one before. */
const bcrypt = (cost: 8 | 10 = 8) => hashSync('secret', { cost });
/** Everything else on the machine may be busy, too. */
const PATIENCE_MS = 60_000;

const HONEST = Array.from({ length: 30 }, (_, at) => `user${at}`);
const usersOf = (hash: string) => Object.fromEntries([...HONEST, 'victim'].map((name) => [name, hash]));

/** Sends a GET with these credentials from that address. */
async function sends(port: number, origin: RawOrigin, from: string, pair: string): Promise<RawPeer> {
  const client = await rawClient(port, '127.0.0.1', from);
  const field = `Proxy-Authorization: Basic ${Buffer.from(pair).toString('base64')}`;
  return client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\n${field}\r\n\r\n`);
}

async function statusOf(client: RawPeer): Promise<number> {
  await client.until('\r\n\r\n', PATIENCE_MS);
  return Number(client.text.split(' ')[1]);
}

/** 200 wrong passwords at once: of one user, and of names that no user has. */
const guesses = (port: number, origin: RawOrigin, from: string): Promise<RawPeer[]> =>
  Promise.all(
    Array.from({ length: 200 }, (_, at) => {
      const name = at % 2 === 0 ? 'victim' : `unknown${at}`;
      return sends(port, origin, from, `${name}:wrong ${at}`);
    }),
  );

const isWaiting = ({ bytesReceived }: RawPeer): boolean => bytesReceived === 0;

async function closeAll(clients: readonly RawPeer[]): Promise<void> {
  for (const client of clients) client[Symbol.dispose]();
}

test(
  'right passwords from another address are answered while one client sends wrong ones, and those of its victim too',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('fine', 'Connection: close')));
    await using proxy = await ProxyUnderTest.start({ clients: { users: usersOf(bcrypt()) } });
    const attack = await guesses(proxy.port, origin, '127.0.0.2');
    const honest = await Promise.all(
      [...HONEST, 'victim'].map((name) => sends(proxy.port, origin, '127.0.0.3', `${name}:secret`)),
    );
    assert.deepEqual([...new Set(await Promise.all(honest.map(statusOf)))], [200]);
    assert.ok(attack.some(isWaiting), 'wrong passwords still wait');
    await closeAll([...attack, ...honest]);
  }),
);

test(
  'a user at the same address as one who guesses has a turn of their own',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('fine', 'Connection: close')));
    await using proxy = await ProxyUnderTest.start({ clients: { users: usersOf(bcrypt()) } });
    const attack = await Promise.all(
      Array.from({ length: 200 }, (_, at) => sends(proxy.port, origin, '127.0.0.2', `victim:wrong ${at}`)),
    );
    const neighbours = await Promise.all(
      HONEST.map((name) => sends(proxy.port, origin, '127.0.0.2', `${name}:secret`)),
    );
    assert.deepEqual([...new Set(await Promise.all(neighbours.map(statusOf)))], [200]);
    await closeAll([...attack, ...neighbours]);
  }),
);

test(
  'a user who was authenticated before is let in ahead of all guesses, at once or after the file of users has changed',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('fine', 'Connection: close')));
    await using proxy = await ProxyUnderTest.start({ clients: { users: usersOf(bcrypt()) } });
    const ask = async (): Promise<number> => {
      using client = await sends(proxy.port, origin, '127.0.0.3', 'victim:secret');
      return await statusOf(client);
    };
    assert.equal(await ask(), 200);
    const attack = await guesses(proxy.port, origin, '127.0.0.2');
    assert.equal(await ask(), 200);
    await proxy.proxy.reload(
      resolveOptions({
        listen: 'http://127.0.0.1:0',
        log: { format: 'off' },
        clients: { users: usersOf(bcrypt()) },
      }),
    );
    attack.push(...(await guesses(proxy.port, origin, '127.0.0.4')));
    await proxy.when(({ events }) => events.filter(({ type }) => type === 'request').length === attack.length + 2);
    const compared = () => attack.filter(({ text }) => text.startsWith('HTTP/1.1 407 ')).length;
    const before = compared();
    assert.equal(await ask(), 200);
    const meanwhile = compared() - before;
    assert.ok(meanwhile < 20, `${meanwhile} guesses were compared first`);
    await closeAll(attack);
  }),
);

test(
  'passwords of clients that have gone are not compared',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('fine', 'Connection: close')));
    await using proxy = await ProxyUnderTest.start({ clients: { users: usersOf(bcrypt(10)) } });
    const attack = await guesses(proxy.port, origin, '127.0.0.2');
    await proxy.when(({ events }) => events.filter(({ type }) => type === 'request').length === attack.length);
    for (const client of attack) client.reset();
    await proxy.when(({ records }) => records.length === attack.length);
    const before = process.cpuUsage();
    using last = await sends(proxy.port, origin, '127.0.0.2', 'user0:secret');
    assert.equal(await statusOf(last), 200);
    // Some 60 ms each: two that had begun, and this one. A hundred others would have had their turn before it.
    const { user } = process.cpuUsage(before);
    assert.ok(user < 2_000_000, `${user / 1000} ms of CPU`);
  }),
);
