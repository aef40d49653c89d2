import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { interactiveUsers } from './interactive-users.ts';
import { sameUserFilter } from './same-user.ts';

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const row = (from: string, to: string, uid: number) =>
  `   0: ${from} ${to} 01 00000000:00000000 00:00000000 00000000  ${uid}        0 34 1 0000000000000000 20 4 30 10 -1\n`;
const tables: Readonly<Record<string, string>> = {
  '/proc/net/tcp':
    HEAD +
    row('0100007F:0C38', '0100007F:D431', 0) +
    row('0100007F:D431', '0100007F:0C38', 1000) +
    row('0100007F:D432', '0100007F:0050', 1000),
  '/proc/net/tcp6':
    HEAD +
    row('00000000000000000000000001000000:D433', '00000000000000000000000001000000:0C38', 1000) +
    row('0000000000000000FFFF00000100007F:D434', '0000000000000000FFFF00000100007F:0C38', 1001),
};
const read = (path: string): string => tables[path] ?? '';
const refusal = (address: string, port: number, uid = 1000) =>
  sameUserFilter(uid, read).refusal({ address, port, listener: 'http://127.0.0.1:3128' })?.detail;

describe('a connection on loopback is one of the user that the kernel names', () => {
  test('IPv4, IPv6, and IPv4 in a socket for both', () => {
    assert.equal(refusal('127.0.0.1', 0xd431), undefined);
    assert.equal(refusal('::1', 0xd433), undefined);
    const other = 'rule clients.sameUser: the client is a process of the user with the number';
    assert.equal(refusal('127.0.0.1', 0xd434), `${other} 1001`);
    assert.equal(refusal('127.0.0.1', 0xd431, 1001), `${other} 1000`);
  });
  test('another connection from the same port, and one that is gone, prove nothing', () => {
    const unknown = 'rule clients.sameUser: the client is a process of an unknown user';
    assert.equal(refusal('127.0.0.1', 0xd432), unknown);
    assert.equal(refusal('127.0.0.1', 0xd435), unknown);
  });
  test('clients of other machines are no matter of this rule', () => {
    assert.equal(refusal('10.0.0.1', 1), undefined);
    assert.equal(refusal('', 0), undefined);
  });
});

test('one reading serves clients that wait together, and a port that comes again is read again', () => {
  let readings = 0;
  const filter = sameUserFilter(1000, (path) => {
    if (path === '/proc/net/tcp') readings += 1;
    return HEAD + Array.from({ length: 20 }, (_, n) => row(`0100007F:D43${n}`, '0100007F:0C38', 1000)).join('');
  });
  const ask = (port: number) => filter.refusal({ address: '127.0.0.1', port, listener: 'http://127.0.0.1:3128' });
  assert.deepEqual([ask(0xd431), ask(0xd432), ask(0xd433)], [undefined, undefined, undefined]);
  // They take three microseconds; a machine that stops for ten milliseconds meanwhile reads once more.
  assert.ok(readings <= 3);
  const before = readings;
  assert.equal(ask(0xd431), undefined);
  assert.equal(readings, before + 1);
});

test('people are the accounts above 999 that have a shell, and this user', () => {
  const passwd =
    'root:x:0:0::/root:/bin/bash\nwww:x:33:33::/var:/usr/sbin/nologin\nme:x:1000:1000::/home/me:/bin/zsh\n' +
    'you:x:1001:1001::/home/you:/bin/false\nnobody:x:65534:65534::/:/bin/sh\n';
  assert.equal(interactiveUsers(passwd, 1000), 1);
  assert.equal(interactiveUsers(passwd, 0), 2);
  assert.equal(interactiveUsers('', 0), 0);
});
