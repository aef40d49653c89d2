import assert from 'node:assert/strict';
import { test } from 'node:test';
import { playedSystem } from '../../../test/support/system-world.ts';
import { type FailureCode, ProxyError } from '../../contracts/failure.ts';
import type { Resolver } from '../../contracts/resolver.ts';
import { searchDomains, wpadNames, wpadUrls } from './wpad.ts';

test('tries parents up to the registrable domain, and no further', async () => {
  const walks: [string, string[]][] = [
    ['a.b.corp.example', ['wpad.a.b.corp.example', 'wpad.b.corp.example', 'wpad.corp.example']],
    ['eng.corp.co.uk', ['wpad.eng.corp.co.uk', 'wpad.corp.co.uk']],
    ['corp.co.uk', ['wpad.corp.co.uk']],
    ['co.uk', []],
    ['uk', []],
    ['lan', []],
    ['localdomain', []],
    ['corp.internal', ['wpad.corp.internal']],
    ['me.github.io', ['wpad.me.github.io']],
    ['github.io', []],
    ['xn--55qx5d.cn', []],
    ['Corp.Example.', ['wpad.corp.example']],
    ['192.0.2.1', []],
    ['2.0.192', []],
    ['a b.example', []],
    ['', []],
    ['.', []],
    ['..example', []],
  ];
  for (const [domain, names] of walks) assert.deepEqual(await wpadNames([domain]), names, domain);
});

test('tries each name once, and at most eight', async () => {
  assert.deepEqual(await wpadNames(['a.corp.example', 'b.corp.example']), [
    'wpad.a.corp.example',
    'wpad.corp.example',
    'wpad.b.corp.example',
  ]);
  assert.equal((await wpadNames([`${'a.'.repeat(20)}corp.example`])).length, 8);
});

test('reads the search domains of the resolver', () => {
  assert.deepEqual(searchDomains('nameserver 10.0.0.1\nsearch a.example\tb.example # c\n'), ['a.example', 'b.example']);
  assert.deepEqual(searchDomains('domain a.example\nsearch b.example\n'), ['b.example']);
  assert.deepEqual(searchDomains('# search a.example\noptions x\n'), []);
});

/** Resolves some names, and fails for all others with one code. */
const resolver = (known: readonly string[], code: FailureCode): Resolver & { readonly asked: string[] } => {
  const asked: string[] = [];
  return {
    asked,
    known: () => undefined,
    async resolve(host) {
      asked.push(host);
      if (known.includes(host)) return ['10.0.0.1'];
      throw new ProxyError(code, host);
    },
  };
};

const files = { '/etc/resolv.conf': 'search a.corp.example\n' };

test('returns the URLs of DHCP first, then the hosts that exist; names are resolved with the root dot', async () => {
  const dns = resolver(['wpad.corp.example.'], 'dns_failed');
  const world = playedSystem({
    files: { ...files, '/run/systemd/netif/leases/2': 'OPTION_252=687474703a2f2f612f70\n' },
    hostName: 'laptop.corp.example',
    modifiedMs: 0,
  });
  assert.deepEqual(await wpadUrls(world, dns, 0, new AbortController().signal), [
    { url: 'http://a/p', by: 'DHCP' },
    { url: 'http://wpad.corp.example/wpad.dat', by: 'DNS' },
  ]);
  assert.deepEqual(dns.asked, ['wpad.corp.example.', 'wpad.a.corp.example.']);
});

test('distinguishes a network without a PAC from one whose name servers do not answer', async () => {
  const { signal } = new AbortController();
  assert.deepEqual(await wpadUrls(playedSystem({ files }), resolver([], 'dns_failed'), 0, signal), []);
  await assert.rejects(wpadUrls(playedSystem({ files }), resolver([], 'dns_timeout'), 0, signal), /name servers/);
  assert.deepEqual(await wpadUrls(playedSystem(), resolver([], 'dns_timeout'), 0, signal), []);
});
