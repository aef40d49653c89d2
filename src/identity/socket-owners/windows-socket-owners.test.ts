import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TcpEnd } from '../../net/peer-uid.ts';
import { parseIp } from '../../protocol/addresses/ip-address.ts';
import { sidIn, type WindowsCalls } from './windows-calls.ts';
import { WindowsSocketOwners } from './windows-socket-owners.ts';
import { entryIn } from './windows-tcp-table.ts';

const end = (text: string, port: number): TcpEnd => {
  const address = parseIp(text);
  assert.ok(address !== undefined);
  return { address, port };
};
const CLIENT = end('127.0.0.1', 0xd431);
const PROXY = end('127.0.0.1', 3128);

const SERVICES = '00'.repeat(128);
/** A row of MIB_TCPTABLE_OWNER_MODULE: state, both ends, the process, when the socket was made, and services. */
const row = (ends: string, pid: string, madeAt = '0100000000000000'): string =>
  `05000000 ${ends} ${pid} ${madeAt} ${SERVICES}`;
const tableOf = (...rows: readonly string[]): Buffer =>
  Buffer.from(`0${rows.length}00000000000000${rows.join('')}`.replaceAll(' ', ''), 'hex');
const CONNECTION = '7f000001 d4310000 7f000001 0c380000';

test('a process is found by both ends of its connection in a table of IPv4', () => {
  const table = tableOf(
    row('7f000001 0c380000 7f000001 d4310000', '11000000'),
    row('7f000001 d4310000 7f000002 0c380000', '12000000'),
    row(CONNECTION, '13000000', '0200000001000000'),
  );
  assert.deepEqual(entryIn(table, CLIENT, PROXY), { pid: 0x13, madeAt: 0x1_0000_0002n });
  assert.equal(entryIn(table, CLIENT, end('127.0.0.3', 3128)), undefined);
  assert.equal(entryIn(table.subarray(0, 300), CLIENT, PROXY), undefined);
});

test('and in a table of IPv6', () => {
  const [one, scope] = ['00000000000000000000000000000001', '00000000'];
  const table = tableOf(
    `${one} ${scope} d4310000 ${one} ${scope} 0c380000 05000000 14000000 0300000000000000 ${SERVICES}`,
  );
  assert.deepEqual(entryIn(table, end('::1', 0xd431), end('::1', 3128)), { pid: 0x14, madeAt: 3n });
});

test('a user is written as Windows writes it', () => {
  const sid = Buffer.from('0105000000000005 15000000 01000000 02000000 ffffffff f4010000'.replaceAll(' ', ''), 'hex');
  assert.equal(sidIn(sid, 0), 'S-1-5-21-1-2-4294967295-500');
});

/** A Windows with these processes, whose connections change each time that they are read. */
function windowsOf(tables: Buffer[], processes: Readonly<Record<number, { user: string; startedAt: bigint }>>) {
  let open = 0;
  const calls: WindowsCalls = {
    tcpTable: () => tables.shift(),
    openProcess(pid) {
      const found = processes[pid];
      if (found === undefined) return undefined;
      open += 1;
      return { startedAt: () => found.startedAt, user: () => found.user, [Symbol.dispose]: () => void open-- };
    },
  };
  const owners = new WindowsSocketOwners(calls, 1);
  const owner = owners.ownerOf(CLIENT, PROXY);
  assert.equal(open, 0, 'every process is closed again');
  return owner;
}
const SELF = { user: 'S-me', startedAt: 0n };
/** As bytes of a FILETIME: 0x100000000. */
const MADE = '0000000001000000';
const MADE_AT = 0x1_0000_0000n;

test('a socket whose process has ended is not that of the process which has got its number since', () => {
  const table = () => [tableOf(row(CONNECTION, '13000000', MADE))];
  const process = (startedAt: bigint) => ({ 1: SELF, 19: { user: 'S-me', startedAt } });
  assert.equal(windowsOf(table(), process(MADE_AT - 1n)), 'S-me');
  assert.equal(windowsOf(table(), process(MADE_AT + 156_250n)), 'S-me', 'sockets are dated by a tick of the clock');
  assert.equal(windowsOf(table(), process(MADE_AT + 10_000_000n)), undefined);
});

test('where the system does not say when a socket was made, its process must be the same while that is open', () => {
  const undated = (pid: string) => tableOf(row(CONNECTION, pid, '0000000000000000'));
  const processes = { 1: SELF, 19: { user: 'S-me', startedAt: 5n } };
  assert.equal(windowsOf([undated('13000000'), undated('13000000')], processes), 'S-me');
  assert.equal(windowsOf([undated('13000000'), undated('14000000')], processes), undefined);
  assert.equal(windowsOf([undated('13000000'), tableOf()], processes), undefined);
});

test('a process that has ended, or that may not be asked about, is of no user', () => {
  assert.equal(windowsOf([tableOf(row(CONNECTION, '00000000'))], { 1: SELF, 0: SELF }), undefined);
  assert.equal(windowsOf([tableOf(row(CONNECTION, '13000000'))], { 1: SELF }), undefined);
});
