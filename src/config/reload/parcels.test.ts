import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../../contracts/secret.ts';
import type { Config } from '../config.ts';
import { resolveOptions } from '../schema.ts';
import { type Parcel, parcelsOf, Unpacker } from './parcels.ts';

const names = (count: number): string[] => Array.from({ length: count }, (_, at) => `h${at}.example`);

function unpacked(parcels: readonly Parcel[]): Config {
  const unpacking = new Unpacker();
  const results = parcels.map((parcel) => unpacking.add(parcel));
  assert.ok(results.slice(0, -1).every((result) => result === undefined));
  const config = results.at(-1);
  assert.ok(config);
  return config;
}

function isFrozenThroughout(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || value instanceof Secret) return true;
  return Object.isFrozen(value) && Object.values(value).every(isFrozenThroughout);
}

const SETTINGS = {
  clients: { users: Object.fromEntries(names(300).map((name) => [name, '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ='])) },
  access: [
    ...names(2_000).map((host, at) => ({ name: `r${at}`, deny: { hosts: [host], ports: [443, '8000-8999'] } })),
    { allow: { hosts: names(1_000), users: ['h1.example'] } },
    { default: 'deny' as const },
  ],
  limits: { bandwidth: names(100).map((host) => ({ match: { hosts: [host] }, rate: '1MiB' })), tunnels: { wait: 0 } },
  routes: { rules: [{ hosts: names(40), via: ['http://me:p%40ss@a.example:1', 'direct'] }], proxy: 'socks5://u:v@b:2' },
  timeouts: { idle: 0 },
};

test('a configuration is the same after its way, through JSON too, and as frozen; passwords are secrets again', () => {
  const config = resolveOptions(SETTINGS);
  for (const way of [structuredClone, (parcel: Parcel): Parcel => JSON.parse(JSON.stringify(parcel))]) {
    const again = unpacked([...parcelsOf(config)].map((parcel) => way(parcel)));
    assert.deepEqual(JSON.parse(JSON.stringify(again)), JSON.parse(JSON.stringify(config)));
    assert.ok(isFrozenThroughout(again));
    const [route] = again.routes.proxy;
    assert.equal(route?.via === 'direct' ? undefined : route?.hops[0].login?.password.reveal(), 'v');
    const [first] = again.routes.rules[0]?.via ?? [];
    assert.equal(first?.via === 'direct' ? undefined : first?.hops[0].login?.password.reveal(), 'p@ss');
  }
});

test('no message is large, whichever part of a configuration is long', () => {
  const sizes = [...parcelsOf(resolveOptions(SETTINGS))].map((parcel) => JSON.stringify(parcel).length);
  assert.ok(sizes.length > 20, `${sizes.length} messages`);
  assert.ok(Math.max(...sizes) < 40_000, `${Math.max(...sizes)} characters in one`);
});

test('a list that several settings share is sent once', () => {
  const hosts = names(5_000);
  const one = resolveOptions({ access: [{ deny: { hosts } }] });
  const shared = { ...one, access: [one.access[0], one.access[0], one.access[0]] } as Config;
  const size = (config: Config): number => [...parcelsOf(config)].reduce((sum, { links }) => sum + links.length, 0);
  assert.equal(JSON.stringify([...parcelsOf(shared)]).split('h4999.example').length, 2);
  assert.ok(size(shared) > size(one));
  const again = unpacked([...parcelsOf(shared)]);
  assert.equal(again.access[2]?.deny?.hosts, again.access[0]?.deny?.hosts);
});
