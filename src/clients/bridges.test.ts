import assert from 'node:assert/strict';
import type { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { bridgesOf, refusalByBridge, socketsOf } from './bridges.ts';

type Interfaces = ReturnType<typeof networkInterfaces>;
const address = (text: string, cidr: string) => {
  const common = { address: text, cidr, mac: '', internal: false, netmask: '' };
  return text.includes(':') ? { ...common, family: 'IPv6', scopeid: 0 } : { ...common, family: 'IPv4' };
};
const interfaces = {
  eth0: [address('10.0.0.5', '10.0.0.5/24')],
  docker0: [address('fd00::1', 'fd00::1/64'), address('172.17.0.1', '172.17.0.1/16'), address('fe80::1', 'fe80::1/64')],
  'br-0123456789ab': [address('172.18.0.1', '172.18.0.1/16')],
  'br-lan': [address('192.168.1.1', '192.168.1.1/24')],
  podman0: [address('10.88.0.1', '10.88.0.1/16')],
  'vEthernet (WSL (Hyper-V firewall))': [address('172.30.0.1', '172.30.0.1/20')],
} as Interfaces;

test('the addresses of this machine on bridges are found by the names of their interfaces', () => {
  const found = (kind: 'docker' | 'podman' | 'wsl') => bridgesOf(kind, interfaces).map(({ cidr }) => cidr);
  assert.deepEqual(found('docker'), ['172.17.0.1/16', '172.18.0.1/16', 'fd00::1/64']);
  assert.deepEqual(found('podman'), ['10.88.0.1/16']);
  assert.deepEqual(found('wsl'), ['172.30.0.1/20']);
});

test('a listener on a bridge is one socket for each of its addresses, which serves its subnet alone', () => {
  const [socket, ...more] = socketsOf([{ kind: 'bridge', protocol: 'http', bridge: 'podman', port: 1 }], (kind) =>
    bridgesOf(kind, interfaces),
  );
  assert.ok(socket !== undefined);
  assert.deepEqual(
    [socket, more.length],
    [{ kind: 'tcp', protocol: 'http', host: '10.88.0.1', port: 1, optional: false, subnet: '10.88.0.1/16' }, 0],
  );
  const refusal = (from: string) => refusalByBridge(socket)({ address: from, port: 1, listener: '' })?.code;
  assert.equal(refusal('10.88.7.7'), undefined);
  assert.equal(refusal('10.89.0.1'), 'denied');
  assert.equal(refusal(''), 'denied');
});
