import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startProxy } from '../../src/index.ts';
import { Dnsmasq, RESOLVE_ON_LOOPBACK } from '../support/dnsmasq.ts';
import { isInside, MACHINE_IP, noNamespace, runInside } from '../support/namespace.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { missing } from '../support/requires.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { portOf } from '../support/traffic.ts';

function tests(): void {
  test('a client with a private address is shown with the name that the name server has for it', async () => {
    using folder = temporaryFolder();
    await using _dns = await Dnsmasq.start(`${folder.path}/dns`, { 'laptop.test': [MACHINE_IP] });
    await using origin = await RawOrigin.listen(echo);
    await using proxy = await startProxy({
      listen: '0.0.0.0:0',
      open: true,
      access: [{ allow: { ports: [origin.port] } }],
      guard: { allow: ['127.0.0.1'] },
      admin: { listen: '127.0.0.1:0' },
    });
    using far = await rawClient(portOf(proxy.url), MACHINE_IP, MACHINE_IP);
    using near = await rawClient(portOf(proxy.url));
    for (const client of [far, near]) {
      client.send(connectTo(origin.authority));
      await client.until('\r\n\r\n');
      assert.match(client.text, /^HTTP\/1\.1 200 /);
    }
    const names = async () => {
      const headers = { authorization: `Bearer ${proxy.admin?.token}` };
      const response = await fetch(`${proxy.admin?.url}/api/tunnels`, { headers });
      const { tunnels } = Object(await response.json());
      return Object.fromEntries(Object.values(tunnels).map((row) => [Object(row).client, Object(row).clientName]));
    };
    assert.deepEqual(await names(), { [MACHINE_IP]: undefined, '127.0.0.1': undefined }, 'no look waits for a name');
    // Asked for again as a page does; the name server answers meanwhile.
    let seen = await names();
    for (let looks = 0; looks < 500 && seen[MACHINE_IP] === undefined; looks++) seen = await names();
    assert.deepEqual(seen, { [MACHINE_IP]: 'laptop.test', '127.0.0.1': undefined });
  });
}

if (isInside()) tests();
else {
  const skip = noNamespace() || missing('dnsmasq-base');
  test('names of clients, with a real name server', { skip, timeout: 60_000 }, () =>
    runInside(import.meta.url, RESOLVE_ON_LOOPBACK),
  );
}
