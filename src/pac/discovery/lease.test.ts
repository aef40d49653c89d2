import assert from 'node:assert/strict';
import { test } from 'node:test';
import { playedSystem } from '../../../test/support/system-world.ts';
import { dhclientOption, leasedUrls, networkdOption } from './lease.ts';

const NOW = Date.UTC(2025, 0, 2);
const hex = (text: string) => Buffer.from(text, 'latin1').toString('hex');
const file = (text: string, modifiedMs = NOW - 1000) => ({ text, modifiedMs });

test('reads leases of systemd-networkd, as long as they are valid', () => {
  const text = `# This is private data. Do not parse.\nADDRESS=10.0.0.2\nLIFETIME=3600\nOPTION_252=${hex('http://a/p')}\n`;
  assert.equal(networkdOption(file(text), NOW), 'http://a/p');
  assert.equal(networkdOption(file(text, NOW - 3_601_000), NOW), undefined);
  assert.equal(networkdOption(file('ADDRESS=10.0.0.2\n'), NOW), undefined);
});

test('reads the newest lease of dhclient, as long as it is valid', () => {
  const lease = (option: string, expire: string) =>
    `lease {\n  interface "eth0";\n  fixed-address 10.0.0.2;\n  ${option}\n  expire ${expire};\n}\n`;
  const old = lease('option wpad "http://old/p";', '4 2025/01/02 00:10:00');
  const read = (text: string) => dhclientOption(file(text), NOW);
  assert.equal(read(old), 'http://old/p');
  assert.equal(read(old + lease('option wpad-url "http://new/p\\000";', '4 2025/01/02 00:10:00')), 'http://new/p\0');
  assert.equal(read(old + lease('option routers 10.0.0.1;', '4 2025/01/02 00:10:00')), undefined);
  assert.equal(read(lease('option unknown-252 68:74:74:70:3a:2f:2f:61:2f:0;', 'never')), 'http://a/\0');
  assert.equal(read(lease('option wpad "http://old/p";', '3 2025/01/01 23:59:59')), undefined);
  assert.equal(read(lease('option wpad "http://old/p";', `epoch ${NOW / 1000 + 60}`)), 'http://old/p');
  assert.equal(read(''), undefined);
});

test('collects the URLs of all leases, and accepts http: and https: only', async () => {
  const world = playedSystem({
    modifiedMs: NOW,
    files: {
      '/run/systemd/netif/leases/2': `OPTION_252=${hex('http://a/p\n\0')}\n`,
      '/run/systemd/netif/leases/3': `OPTION_252=${hex('file:///etc/passwd')}\n`,
      '/run/systemd/netif/leases/.lock': `OPTION_252=${hex('http://no/')}\n`,
      '/var/lib/NetworkManager/internal-1-wlan0.lease': `OPTION_252=${hex('http://a/p')}\n`,
      '/var/lib/dhcp/dhclient.eth0.leases': 'lease {\n  option wpad "http://b/";\n}\n',
    },
  });
  assert.deepEqual(await leasedUrls(world, NOW), ['http://a/p', 'http://b/']);
});
