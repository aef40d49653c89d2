import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TcpEnd } from '../../net/peer-uid.ts';
import { parseIp } from '../../protocol/addresses/ip-address.ts';
import { pidIn, sidIn } from './windows-socket-owners.ts';

const end = (text: string, port: number): TcpEnd => {
  const address = parseIp(text);
  assert.ok(address !== undefined);
  return { address, port };
};

test('a process is found by both ends of its connection in a table of IPv4', () => {
  const established = '05000000';
  const rows = [
    `${established} 7f000001 0c380000 7f000001 d4310000 11000000`,
    `${established} 7f000001 d4310000 7f000002 0c380000 12000000`,
    `${established} 7f000001 d4310000 7f000001 0c380000 13000000`,
  ];
  const table = Buffer.from(`03000000${rows.join('')}`.replaceAll(' ', ''), 'hex');
  assert.equal(pidIn(table, end('127.0.0.1', 0xd431), end('127.0.0.1', 3128)), 0x13);
  assert.equal(pidIn(table, end('127.0.0.1', 0xd431), end('127.0.0.3', 3128)), undefined);
  assert.equal(pidIn(table.subarray(0, 40), end('127.0.0.1', 0xd431), end('127.0.0.1', 3128)), undefined);
});

test('and in a table of IPv6', () => {
  const [one, scope] = ['00000000000000000000000000000001', '00000000'];
  const table = `01000000 ${one} ${scope} d4310000 ${one} ${scope} 0c380000 05000000 14000000`;
  const bytes = Buffer.from(table.replaceAll(' ', ''), 'hex');
  assert.equal(pidIn(bytes, end('::1', 0xd431), end('::1', 3128)), 0x14);
});

test('a user is written as Windows writes it', () => {
  const sid = Buffer.from('0105000000000005 15000000 01000000 02000000 ffffffff f4010000'.replaceAll(' ', ''), 'hex');
  assert.equal(sidIn(sid, 0), 'S-1-5-21-1-2-4294967295-500');
});
