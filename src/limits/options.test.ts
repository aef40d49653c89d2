import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limitsSchema, NO_LIMITS } from './options.ts';

test('reads the limits of the documentation', () => {
  const limits = limitsSchema.parse({
    bandwidth: [
      { per: 'proxy', rate: '20MiB' },
      { per: 'client', rate: '2MiB', direction: 'down', burst: '1MiB' },
      { match: { hosts: ['.steam.example'] }, rate: '512KiB', priority: 'background' },
    ],
    tunnels: { total: 10_000, client: 500, user: 500 },
    requests: { per: 'user', rate: 50, burst: 100 },
    quota: { per: 'user', bytes: '50GiB', every: '30d' },
  });
  assert.deepEqual(limits, {
    bandwidth: [
      { per: 'proxy', rate: 20_971_520, direction: 'both', priority: 'normal' },
      { per: 'client', rate: 2_097_152, direction: 'down', burst: 1_048_576, priority: 'normal' },
      { per: 'proxy', match: { hosts: ['.steam.example'] }, rate: 524_288, direction: 'both', priority: 'background' },
    ],
    tunnels: { total: 10_000, client: 500, user: 500, wait: 2_000, queue: 1_024 },
    requests: [{ per: 'user', rate: 50, burst: 100 }],
    quota: [{ per: 'user', bytes: 53_687_091_200, every: 2_592_000_000 }],
    storePrefix: 'viaduct',
    onStoreDown: 'local',
  });
  assert.deepEqual(limitsSchema.parse({}), NO_LIMITS);
});

test('refuses invalid limits, with a path and a sentence', () => {
  const cases: [unknown, path: string, message: RegExp][] = [
    [{ bandwidth: [{ per: 'user', rate: -1 }] }, 'bandwidth.0.rate', /-1 is not a rate/],
    [{ bandwidth: [{ rate: 0 }] }, 'bandwidth.0.rate', /would let nothing pass/],
    [{ bandwidth: [{ rate: Number.NaN }] }, 'bandwidth.0.rate', /./],
    [{ bandwidth: [{ rate: '4Mb' }] }, 'bandwidth.0.rate', /bits or bytes/],
    [{ bandwidth: [{ per: 'user' }] }, 'bandwidth.0.rate', /needs a rate/],
    [{ bandwidth: [{ rate: 5, match: {}, burts: 1 }] }, 'bandwidth.0', /burts/],
    [
      { bandwidth: [{ rate: 5, match: { clients: ['10.0.0.0/33'] } }] },
      'bandwidth.0.match.clients.0',
      /is neither a valid address/,
    ],
    [{ bandwidth: [{ rate: 5, match: { hosts: ['http://x'] } }] }, 'bandwidth.0.match.hosts.0', /is not a valid host/],
    [{ tunnels: { total: -1 } }, 'tunnels.total', /./],
    [{ requests: [{ per: 'user', rate: 0 }] }, 'requests.0.rate', /./],
    [{ requests: [{ per: 'user', rate: 1e-7 }] }, 'requests.0.rate', /0\.000001/],
    [{ requests: [{ per: 'user', rate: Number.POSITIVE_INFINITY }] }, 'requests.0.rate', /./],
    [{ quota: [{ per: 'user', bytes: 0, every: '1d' }] }, 'quota.0.bytes', /at least one byte/],
    [{ quota: [{ per: 'user', bytes: 1, every: '1ms' }] }, 'quota.0.every', /at least one second/],
    [
      { bandwidth: [{ name: 'a', rate: 5 }], quota: [{ name: 'a', per: 'user', bytes: 1, every: '1d' }] },
      'quota.0.name',
      /another limit/,
    ],
    [{ bandwidth: [{ name: 'a"b', rate: 5 }] }, 'bandwidth.0.name', /printable ASCII/],
  ];
  for (const [given, path, message] of cases) {
    const { error } = limitsSchema.safeParse(given);
    const found = flatten(error?.issues ?? [], []);
    assert.ok(
      found.some((one) => one.path === path && message.test(one.message)),
      `${path}: ${JSON.stringify(found)}`,
    );
  }
});

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly errors?: readonly (readonly Issue[])[];
}
function flatten(issues: readonly Issue[], base: readonly PropertyKey[]): { path: string; message: string }[] {
  return issues.flatMap((issue) => {
    const path = [...base, ...issue.path];
    const inner = (issue.errors ?? []).flatMap((branch) => flatten(branch, path));
    return [{ path: path.map(String).join('.'), message: issue.message }, ...inner];
  });
}
