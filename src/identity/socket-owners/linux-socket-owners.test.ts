import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { constants } from 'node:os';
import { describe, test } from 'node:test';
import { loadAddon } from '../../native/addon.ts';
import { socketUid, type TcpEnd } from '../../net/peer-uid.ts';
import { parseIp } from '../../protocol/addresses/ip-address.ts';
import { LinuxSocketOwners, openLinuxSocketOwners } from './linux-socket-owners.ts';
import { ProcTable, readOrEmpty } from './proc-table.ts';

const end = (text: string, port: number): TcpEnd => {
  const address = parseIp(text);
  assert.ok(address !== undefined);
  return { address, port };
};

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const row = (from: string, to: string, uid: number, inode = 34) =>
  `   0: ${from} ${to} 01 00000000:00000000 00:00000000 00000000  ${uid}        0 ${inode} 1 0000000000000000 20 4 30 10 -1\n`;
const tables: Readonly<Record<string, string>> = {
  '/proc/net/tcp':
    HEAD +
    row('0100007F:0C38', '0100007F:D431', 0) +
    row('0100007F:D431', '0100007F:0C38', 1000) +
    row('0100007F:D432', '0100007F:0050', 1000) +
    row('0100007F:D436', '0200007F:0C38', 1000) +
    row('0100007F:D437', '0100007F:0C38', 0, 0),
  '/proc/net/tcp6':
    HEAD +
    row('00000000000000000000000001000000:D433', '00000000000000000000000001000000:0C38', 1000) +
    row('0000000000000000FFFF00000100007F:D434', '0000000000000000FFFF00000100007F:0C38', 1001),
};
const read = (path: string): string => tables[path] ?? '';

describe('the table of the kernel', () => {
  const owner = (address: string, port: number, to = address) =>
    new ProcTable(read).ownerOf(end(address, port), end(to, 3128));

  test('names the owner for IPv4, IPv6, and IPv4 in a socket for both', () => {
    assert.deepEqual(
      [owner('127.0.0.1', 0xd431), owner('::1', 0xd433), owner('127.0.0.1', 0xd434)],
      [1000, 1000, 1001],
    );
  });
  test('says nothing by another connection from the same port, one to another address, and one that is gone', () => {
    assert.deepEqual(
      [0xd432, 0xd435, 0xd436].map((port) => owner('127.0.0.1', port)),
      [undefined, undefined, undefined],
    );
    assert.equal(owner('127.0.0.1', 0xd436, '127.0.0.2'), 1000);
  });
  test('does not make root the owner of a socket that its program has closed', () => {
    assert.equal(owner('127.0.0.1', 0xd437), undefined);
  });
});

test('one reading serves clients that wait together, and a port that comes again is read again', () => {
  let readings = 0;
  const table = new ProcTable((path) => {
    if (path === '/proc/net/tcp') readings += 1;
    return HEAD + Array.from({ length: 20 }, (_, n) => row(`0100007F:D43${n}`, '0100007F:0C38', 1000)).join('');
  });
  const ask = (port: number) => table.ownerOf(end('127.0.0.1', port), end('127.0.0.1', 3128));
  assert.deepEqual([ask(0xd431), ask(0xd432), ask(0xd433)], [1000, 1000, 1000]);
  // They take three microseconds; a machine that stops for ten milliseconds meanwhile reads once more.
  assert.ok(readings <= 3);
  const before = readings;
  assert.equal(ask(0xd431), 1000);
  assert.equal(readings, before + 1);
});

describe('the one socket is asked for first', () => {
  const from = end('127.0.0.1', 0xd431);
  const to = end('127.0.0.1', 3128);
  const missing = -constants.errno.ENOENT;

  test('and the table read where there is no addon, no netlink, or no inet_diag', () => {
    for (const answer of [undefined, -constants.errno.EPROTONOSUPPORT, missing])
      assert.equal(new LinuxSocketOwners(() => answer, read).ownerOf(from, to), '1000');
  });
  test('and not asked again when the table has what the kernel has not found', () => {
    let questions = 0;
    const owners = new LinuxSocketOwners(() => {
      questions += 1;
      return missing;
    }, read);
    // Neither has this one: the kernel may be right.
    assert.equal(owners.ownerOf(end('127.0.0.1', 1), to), undefined);
    assert.equal(owners.ownerOf(from, to), '1000');
    assert.equal(owners.ownerOf(from, to), '1000');
    assert.equal(questions, 2);
  });
  test('and believed when it is not there, once the kernel has found another', () => {
    const answers = [1001, missing];
    const owners = new LinuxSocketOwners(() => answers.shift(), read);
    assert.equal(owners.ownerOf(from, to), '1001');
    assert.equal(owners.ownerOf(from, to), undefined);
  });
});

test('where all other users of a user namespace have the number of this one, owners are not available', () => {
  const isAvailable = (uid: number, map: string) => {
    const files: Readonly<Record<string, string>> = {
      '/proc/sys/kernel/overflowuid': '65534\n',
      '/proc/self/uid_map': map,
    };
    return !('unavailable' in openLinuxSocketOwners((path) => files[path] ?? '', uid));
  };
  const all = '         0          0 4294967295\n';
  assert.deepEqual([isAvailable(65534, all), isAvailable(1000, '1000 0 1\n')], [true, true]);
  assert.equal(isAvailable(65534, '     65534          0          1\n'), false);
});

/** Both ends of a connection to a server at `host`; `to` names it as the client does. */
async function connected(host: string, to: string): Promise<{ server: Server; client: Socket; accepted: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const client = connect(address.port, to);
  const [[accepted]] = await Promise.all([once(server, 'connection'), once(client, 'connect')]);
  return { server, client, accepted };
}

const skip = process.platform !== 'linux' && 'other systems have no such tables';

describe('the kernel of this machine, asked both ways', { skip }, () => {
  const byTable = (from: TcpEnd, to: TcpEnd): string | number | undefined => {
    const uid = new ProcTable(readOrEmpty).ownerOf(from, to);
    return uid ?? 'none';
  };
  const ways = [
    {
      name: 'sock_diag',
      ask: socketUid,
      gone: -constants.errno.ENOENT,
      skip: loadAddon().addon === undefined && 'no addon',
    },
    { name: 'the table', ask: byTable, gone: 'none', skip: false },
  ];
  for (const { name, ask, gone, skip } of ways) {
    for (const [host, to, target = to] of [
      ['127.0.0.1', '127.0.0.1'],
      ['::1', '::1'],
      ['::', '127.0.0.1'],
      // As Java connects: its sockets are for both families.
      ['127.0.0.1', '127.0.0.1', '::ffff:127.0.0.1'],
    ] as const) {
      test(`${name}: ${target} at a listener on ${host}`, { skip }, async () => {
        const { server, client, accepted } = await connected(host, target);
        try {
          const ends = [end(to, client.localPort ?? 0), end(to, client.remotePort ?? 0)] as const;
          assert.equal(ask(...ends), process.getuid?.());
          // No such connection, though the port of the server is that of a listener.
          assert.equal(ask(ends[1], end(to, 1)), gone);
          client.end();
          accepted.resume().end();
          await Promise.all([once(client.resume(), 'close'), once(accepted, 'close')]);
          // In TIME_WAIT no process has it; the kernel prints root.
          assert.equal(ask(...ends), gone);
        } finally {
          client.destroy();
          accepted.destroy();
          server.close();
        }
      });
    }
  }
});
