import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { describe, test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { atOnce } from '../util/slices.ts';
import { buildAddressGuard } from './address-guard.ts';
import { type ListenAddress, listenAddresses } from './listen-addresses.ts';
import { type Exposure, type GuardOptions, guardSchema } from './options.ts';

const guardOf = (...args: Parameters<typeof buildAddressGuard>) => atOnce(buildAddressGuard(...args));

function guard(options: GuardOptions, exposure: Exposure, listeners: readonly ListenAddress[] = []) {
  const own = listenAddresses(
    () => listeners,
    new ManualClock(),
    () => ['192.0.2.10', 'fe80::10%eth0'],
  );
  const made = guardOf(guardSchema.parse(options), exposure, own);
  return (address: string, port = 443) => {
    const { verdict, rule } = made.check(address, port);
    return `${verdict}: ${rule}`;
  };
}

describe('the guard of an exposed proxy', () => {
  const check = guard({}, 'exposed');
  test('denies every special-purpose address by the word of its kind', () => {
    for (const [address, word] of [
      ['127.0.0.1', 'loopback'],
      ['::1', 'loopback'],
      ['0.0.0.0', 'loopback'],
      ['::', 'loopback'],
      ['10.0.0.1', 'private'],
      ['fd00::1', 'private'],
      ['169.254.1.1', 'link-local'],
      ['fe80::1', 'link-local'],
      ['fe80::1%eth0', 'link-local'],
      ['169.254.169.254', 'metadata'],
      ['100.100.100.200', 'metadata'],
      ['168.63.129.16', 'metadata'],
      ['100.64.0.1', 'special'],
      ['255.255.255.255', 'special'],
      ['224.0.0.1', 'special'],
      ['192.0.2.1', 'special'],
      ['ff02::1', 'special'],
      ['::ffff:169.254.169.254', 'metadata'],
      ['::ffff:a9fe:a9fe', 'metadata'],
      ['64:ff9b::a9fe:a9fe', 'metadata'],
      ['64:ff9b:1::a9fe:a9fe', 'metadata'],
      ['2002:a9fe:a9fe::1', 'metadata'],
      ['2002:7f00:1::', 'loopback'],
      ['2001:0:1:2:3:4:5601:5601', 'metadata'],
      ['::ffff:0:10.0.0.1', 'private'],
      ['::127.0.0.1', 'loopback'],
    ] as const) {
      assert.equal(check(address), `deny: guard: ${word}`, address);
    }
  });
  test('allows the Internet', () => {
    for (const address of ['1.1.1.1', '2606:4700::1111', '64:ff9b::1.1.1.1', '2002:101:101::1']) {
      assert.equal(check(address), 'allow: guard', address);
    }
  });
  test('denies what is no address', () => {
    for (const address of ['', 'localhost', '127.1', '0x7f000001'])
      assert.equal(check(address), 'deny: guard: not an address');
  });
  test('answers 403 with a code of its own', () => {
    const own = listenAddresses(() => [], new ManualClock());
    assert.deepEqual(guardOf({}, 'exposed', own).check('10.0.0.1', 443), {
      verdict: 'deny',
      rule: 'guard: private',
      code: 'address_prohibited',
    });
  });
});

describe('the guard of a local proxy', () => {
  test('denies nothing but the proxy itself', () => {
    const check = guard({}, 'local', [{ address: '127.0.0.1', port: 3128 }]);
    for (const address of ['127.0.0.1', '10.0.0.1', '169.254.169.254']) assert.equal(check(address), 'allow: guard');
    assert.equal(check('127.0.0.1', 3128), 'deny: own listener');
  });
  test('denies what is configured', () => {
    const check = guard({ deny: ['metadata', '203.0.113.0/24', '2002::/16'] }, 'local');
    assert.equal(check('169.254.169.254'), 'deny: guard: metadata');
    assert.equal(check('169.254.1.1'), 'allow: guard');
    assert.equal(check('203.0.113.7'), 'deny: guard: 203.0.113.0/24');
    assert.equal(check('64:ff9b::203.0.113.7'), 'deny: guard: 203.0.113.0/24');
    assert.equal(check('2002:101:101::1'), 'deny: guard: 2002::/16');
    assert.equal(guard({ deny: ['link-local'] }, 'local')('169.254.169.254'), 'deny: guard: link-local');
  });
  test('denies nothing at all where the list is empty, exposed or not', () => {
    assert.equal(guard({ deny: [] }, 'exposed')('10.0.0.1'), 'allow: guard');
  });
});

describe('an exception', () => {
  test('holds for its block, or for its port alone', () => {
    const check = guard(
      { allow: ['10.20.0.0/16', '127.0.0.1:8080', '[::1]:80', '[fd00::/8]:443', '172.16.0.0/12:443'] },
      'exposed',
    );
    assert.equal(check('10.20.1.1', 22), 'allow: guard.allow 10.20.0.0/16');
    assert.equal(check('10.21.1.1', 22), 'deny: guard: private');
    assert.equal(check('127.0.0.1', 8080), 'allow: guard.allow 127.0.0.1:8080');
    assert.equal(check('::ffff:127.0.0.1', 8080), 'allow: guard.allow 127.0.0.1:8080');
    assert.equal(check('127.0.0.1', 8081), 'deny: guard: loopback');
    assert.equal(check('127.0.0.2', 8080), 'deny: guard: loopback');
    assert.equal(check('::1', 80), 'allow: guard.allow [::1]:80');
    assert.equal(check('::1', 8080), 'deny: guard: loopback');
    assert.equal(check('fd12::1', 443), 'allow: guard.allow [fd00::/8]:443');
    assert.equal(check('172.31.0.1', 443), 'allow: guard.allow 172.16.0.0/12:443');
    assert.equal(check('172.31.0.1', 80), 'deny: guard: private');
  });
  test('holds for no address that merely carries it inside', () => {
    const check = guard({ allow: ['127.0.0.1:8080'] }, 'exposed');
    for (const address of ['64:ff9b::7f00:1', '2002:7f00:1::', '::127.0.0.1', '0.0.0.0', '::', '::1']) {
      assert.match(check(address, 8080), /^deny/, address);
    }
  });
  test('never holds for our own listeners', () => {
    const check = guard({ allow: ['0.0.0.0/0', '127.0.0.1:3128'] }, 'exposed', [{ address: '0.0.0.0', port: 3128 }]);
    assert.equal(check('127.0.0.1', 3128), 'deny: own listener');
    assert.equal(check('127.0.0.1', 3129), 'allow: guard.allow 0.0.0.0/0');
  });
});

describe('our own listeners', () => {
  const loop = (listener: ListenAddress, address: string, port = listener.port) =>
    guard({}, 'local', [listener])(address, port) === 'deny: own listener';
  test('on one address are there, and where the unspecified address leads', () => {
    const listener = { address: '127.0.0.1', port: 3128 };
    for (const address of ['127.0.0.1', '::ffff:127.0.0.1', '::ffff:7f00:1', '0.0.0.0', '::', '::ffff:0.0.0.0']) {
      assert.ok(loop(listener, address), address);
    }
    for (const address of ['127.0.0.2', '::1', '192.0.2.10']) assert.ok(!loop(listener, address), address);
    assert.ok(!loop(listener, '127.0.0.1', 3129));
  });
  test('on a wildcard are at every address of this machine', () => {
    for (const wildcard of ['0.0.0.0', '::']) {
      const listener = { address: wildcard, port: 3128 };
      for (const address of [
        '127.0.0.1',
        '127.9.9.9',
        '::1',
        '192.0.2.10',
        '::ffff:192.0.2.10',
        'fe80::10%eth1',
        '0.0.0.0',
        '::',
      ]) {
        assert.ok(loop(listener, address), `${address} on ${wildcard}`);
      }
      for (const address of ['192.0.2.11', 'fe80::11']) assert.ok(!loop(listener, address), address);
    }
  });
  test('are there behind a translator as well', () => {
    for (const address of ['192.0.2.10', '0.0.0.0']) {
      const listener = { address, port: 3128 };
      for (const to of ['64:ff9b::192.0.2.10', '2002:c000:20a::1', '2606:4700::200:5efe:c000:20a'])
        assert.ok(loop(listener, to), `${to} on ${address}`);
      for (const to of ['64:ff9b::192.0.2.11', '2606:4700::1']) assert.ok(!loop(listener, to), `${to} on ${address}`);
      assert.ok(!loop(listener, '64:ff9b::192.0.2.10', 3129));
    }
  });
  test('on a link-local address are recognised without its zone', () => {
    assert.ok(loop({ address: 'fe80::5%eth0', port: 1 }, 'fe80::5%2'));
  });
  test('are asked for at every check, and come with code loop', () => {
    const listeners: ListenAddress[] = [];
    const own = listenAddresses(
      () => listeners,
      new ManualClock(),
      () => [],
    );
    const { check } = guardOf({}, 'local', own);
    assert.equal(check('127.0.0.1', 3128).verdict, 'allow');
    listeners.push({ address: '127.0.0.1', port: 3128 });
    assert.deepEqual(check('127.0.0.1', 3128), { verdict: 'deny', rule: 'own listener', code: 'loop_detected' });
  });
  test('follow the addresses of this machine within a second', () => {
    const clock = new ManualClock();
    let lookups = 0;
    let addresses = ['192.0.2.10'];
    const own = listenAddresses(
      () => [{ address: '::', port: 1 }],
      clock,
      () => {
        lookups++;
        return addresses;
      },
    );
    const { check } = guardOf({}, 'local', own);
    assert.equal(check('192.0.2.10', 1).verdict, 'deny');
    addresses = ['192.0.2.20'];
    assert.equal(check('192.0.2.20', 1).verdict, 'allow');
    assert.equal(check('192.0.2.20', 2).verdict, 'allow');
    assert.equal(lookups, 1);
    clock.advance(1000);
    assert.equal(check('192.0.2.20', 1).verdict, 'deny');
    assert.equal(lookups, 2);
  });
  test('are looked for on the interfaces of this very machine', () => {
    const own = listenAddresses(() => [{ address: '0.0.0.0', port: 1 }], new ManualClock());
    const { check } = guardOf({}, 'local', own);
    for (const { address } of Object.values(networkInterfaces()).flatMap((addresses = []) => addresses)) {
      assert.equal(check(address, 1).verdict, 'deny', address);
    }
  });
});
