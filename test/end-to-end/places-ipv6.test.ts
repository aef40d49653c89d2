/** A host has any number of IPv6 addresses: those of one /64 are one client. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { viaduct } from '../support/cli.ts';
import { isInside, noNamespace, runInside } from '../support/namespace.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';

/** With 700 files there are 64 places, and 56 of them for one client. */
const [FILES, PLACES, SHARE] = [700, 64, 56];

/** Addresses of one network, and one of another, inside the namespace. */
const CROWD = Array.from({ length: 8 }, (_, at) => `2001:db8:0:1::${at + 1}`);
const OTHER = '2001:db8:0:2::1';
const SETUP = [...CROWD, OTHER].map((address) => `ip addr add ${address}/128 dev lo nodad`).join(' && ');

function tests(): void {
  for (const relay of ['auto', 'portable'] as const) {
    test(`${relay}: the addresses of one /64 share the slots of one client`, async () => {
      using running = viaduct(['-l', '[::1]:0', '--log', 'off', '--relay', relay], {}, FILES);
      const port = await running.port();
      const come = (from: string): Promise<RawPeer> => rawClient(port, '::1', from);
      const crowd = await Promise.all(Array.from({ length: PLACES }, (_, at) => come(CROWD[at % CROWD.length] ?? '')));
      const refused = () => crowd.filter(({ text }) => text.startsWith('HTTP/1.1 503 ')).length;
      while (refused() < PLACES - SHARE) await nextTurn();
      using other = await come(OTHER);
      other.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
      assert.match(await other.until('\r\n\r\n'), /^HTTP\/1\.1 200 /);
      assert.equal(refused(), PLACES - SHARE);
      for (const client of crowd) client[Symbol.dispose]();
    });
  }
}

if (isInside()) tests();
else {
  test('clients with IPv6, where there is no network', { skip: noNamespace(), timeout: 60_000 }, () =>
    runInside(import.meta.url, SETUP),
  );
}
