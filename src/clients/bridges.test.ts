import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InterfaceAddress } from '../net/interface-addresses.ts';
import { bridgesOf, refusalByBridge, socketsOf } from './bridges.ts';

const on = (name: string, ...cidrs: string[]): InterfaceAddress[] =>
  cidrs.map((cidr) => ({ name, address: cidr.replace(/\/.*/, ''), cidr }));
const addresses = [
  ...on('eth0', '10.0.0.5/24'),
  ...on('docker0', 'fd00::1/64', '172.17.0.1/16', 'fe80::1/64'),
  ...on('br-0123456789ab', '172.18.0.1/16'),
  ...on('br-lan', '192.168.1.1/24'),
  ...on('podman0', '10.88.0.1/16'),
  ...on('vEthernet (WSL (Hyper-V firewall))', '172.30.0.1/20'),
];
const find = (names: RegExp) => addresses.filter(({ name }) => names.test(name));

test('the addresses of this machine on bridges are found by the names of their interfaces', () => {
  const found = (kind: 'docker' | 'podman' | 'wsl') => bridgesOf(kind, find).map(({ cidr }) => cidr);
  assert.deepEqual(found('docker'), ['172.17.0.1/16', '172.18.0.1/16', 'fd00::1/64']);
  assert.deepEqual(found('podman'), ['10.88.0.1/16']);
  assert.deepEqual(found('wsl'), ['172.30.0.1/20']);
});

test('a listener on a bridge is one socket for each of its addresses, which serves its subnet alone', () => {
  const [socket, ...more] = socketsOf([{ kind: 'bridge', protocol: 'http', bridge: 'podman', port: 1 }], (kind) =>
    bridgesOf(kind, find),
  );
  assert.ok(socket !== undefined);
  assert.deepEqual(
    [socket, more.length],
    [{ kind: 'tcp', protocol: 'http', host: '10.88.0.1', port: 1, optional: true, subnet: '10.88.0.1/16' }, 0],
  );
  const refusal = (from: string) => refusalByBridge(socket)({ address: from, port: 1, listener: '' })?.code;
  assert.equal(refusal('10.88.7.7'), undefined);
  assert.equal(refusal('10.89.0.1'), 'denied');
  assert.equal(refusal(''), 'denied');
});
