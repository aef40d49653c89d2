/** Connections from a local address that a route names, where the system has two local ports and no more. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { test } from 'node:test';
import { startProxy } from '../../src/index.ts';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { isInside, noNamespace, runInside } from '../support/namespace.ts';
import { RawOrigin } from '../support/origin.ts';
import { RawPeer } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';

const PORTS_OF_SYSTEM = '/proc/sys/net/ipv4/ip_local_port_range';
const USUAL = '32768 60999';
const PORTS = [50_000, 50_001];
const TARGETS = 4;
let clientPort = 30_000;

/** Each says from which port it was reached, and keeps the connection. */
const target = (host: string) =>
  RawOrigin.listen((peer) => void peer.send(`from port ${peer.socket.remotePort}.`), { host });

/** Opens a tunnel to each target, from `from`; the local port of each, or the status of its refusal. */
async function portsOf(relay: 'native' | 'portable', from: string, host: string): Promise<readonly string[]> {
  // Who listens takes a port from there as well.
  writeFileSync(PORTS_OF_SYSTEM, USUAL);
  const targets = await Promise.all(Array.from({ length: TARGETS }, () => target(host)));
  await using proxy = await startProxy({ relay, route: () => ({ via: 'direct', from }) });
  writeFileSync(PORTS_OF_SYSTEM, PORTS.join(' '));
  const ports: string[] = [];
  const clients: RawPeer[] = [];
  for (const { authority } of targets) {
    // From a port that the test chooses: the two of the system are for the proxy.
    const socket = connect({ host: '127.0.0.1', port: proxy.port, localPort: clientPort++ });
    await once(socket, 'connect');
    const client = new RawPeer(socket).send(connectTo(authority));
    clients.push(client);
    const said = await client.until(/from port \d+\.|^HTTP\/1\.1 [^2]\d\d .*\r\n\r\n/s);
    ports.push(/from port (\d+)/.exec(said)?.[1] ?? said.slice('HTTP/1.1 '.length, 'HTTP/1.1 '.length + 3));
  }
  for (const client of clients) client.socket.destroy();
  for (const one of targets) await one[Symbol.asyncDispose]();
  return ports;
}

function tests(): void {
  for (const [from, host] of [
    ['127.0.0.7', '127.0.0.1'],
    ['::1', '::1'],
  ] as const) {
    test(`with the addon, two local ports of ${from} lead to four targets`, {
      skip: activeRelay('auto') === 'native' ? false : 'the addon is not built',
    }, async () => {
      const ports = await portsOf('native', from, host);
      assert.equal(ports.length, TARGETS);
      for (const port of ports) assert.ok(PORTS.includes(Number(port)), port);
    });
  }

  test('without the addon, Node takes a port of that address for each connection, and a third one fails', async () => {
    const ports = await portsOf('portable', '127.0.0.9', '127.0.0.1');
    assert.deepEqual([ports.slice(0, 2).toSorted(), ports.slice(2)], [PORTS.map(String), ['502', '502']]);
  });
}

if (isInside()) tests();
else {
  test(
    'a local address has as many connections as its ports and targets allow, and not as many as its ports',
    { skip: noNamespace() },
    () => runInside(import.meta.url),
  );
}
