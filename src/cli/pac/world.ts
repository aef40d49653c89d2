import { readFileSync } from 'node:fs';
import { nameToAsk } from '../../pac/literals.ts';
import { type OwnAddresses, ownAddresses } from '../../pac/own-addresses.ts';
import { isTimeZone } from '../../pac/time-zone.ts';
import type { Call } from '../commands.ts';
import { tell, UsageError } from '../print.ts';

/** What a script sees of the world, as far as it is pinned. */
export interface World {
  readonly wallMs: number | undefined;
  readonly zone: string | undefined;
  /** Passed to the script instead of the URL's. */
  readonly host: string | undefined;
  /** Absent: real DNS is asked. */
  readonly resolve: ((name: string) => Promise<readonly string[]>) | undefined;
  readonly ownAddresses: () => Promise<OwnAddresses>;
}

const KEYS = ['now', 'tz', 'myIp', 'myIpEx', 'dns', 'host'];

/** From the flags, and where they say nothing from `--world`. Throws UsageError. */
export function worldOf({ options }: Call): World {
  const path = options.get('world')?.at(-1);
  const file = path === undefined ? {} : readWorld(path);
  const zone = options.get('tz')?.at(-1) ?? textOf(file.tz, 'tz') ?? (path === undefined ? undefined : 'UTC');
  const now = options.get('now')?.at(-1) ?? textOf(file.now, 'now');
  const dns = new Map([...dnsOf(file.dns), ...(options.get('dns') ?? []).map(dnsFlag)]);
  return {
    wallMs: now === undefined ? undefined : parseNow(now),
    zone: zone === undefined ? undefined : checkedZone(zone),
    host: textOf(file.host, 'host'),
    // A world from a file is complete: nothing outside it is asked.
    resolve: dns.size === 0 && path === undefined ? undefined : (name) => pinned(dns, name),
    ownAddresses: addressesOf(options.get('my-ip'), file, path),
  };
}

function readWorld(path: string): Readonly<Record<string, unknown>> {
  let world: unknown;
  try {
    world = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`--world ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!isObject(world)) throw new UsageError(`--world ${path}: holds no JSON object`);
  for (const key of Object.keys(world))
    if (!KEYS.includes(key)) tell(`viaduct: ${path}: ${key} is not known, and not used`);
  return world;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function textOf(value: unknown, key: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  throw new UsageError(`--world: ${key} is no text`);
}

function parseNow(text: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms))
    throw new UsageError(`${JSON.stringify(text)} is no time; write for example 2026-03-29T08:30:00Z`);
  return ms;
}

function checkedZone(name: string): string {
  if (isTimeZone(name)) return name;
  throw new UsageError(`${JSON.stringify(name)} is no time zone; write for example Europe/Berlin`);
}

const keyOf = (name: string): string => nameToAsk(name)?.replace(/\.$/, '') ?? name;

function dnsOf(dns: unknown): [name: string, addresses: readonly string[]][] {
  if (dns === undefined || dns === null) return [];
  if (!isObject(dns)) throw new UsageError('--world: dns is no object of names');
  return Object.entries(dns).map(([name, given]) => [keyOf(name), listOf(given, 'dns')]);
}

/** One address, a list of them, or `null` for none. */
function listOf(given: unknown, key: string): readonly string[] {
  const list: unknown[] = Array.isArray(given) ? given : given === null ? [] : [given];
  return list.map((one) => textOf(one, key) ?? '').filter((one) => one !== '');
}

function dnsFlag(text: string): [name: string, addresses: readonly string[]] {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError(`--dns takes NAME=IP|IP, not ${JSON.stringify(text)}`);
  const addresses = text.slice(at + 1).split('|');
  return [keyOf(text.slice(0, at)), addresses.filter((address) => address !== '')];
}

function pinned(dns: ReadonlyMap<string, readonly string[]>, name: string): Promise<readonly string[]> {
  const found = dns.get(keyOf(name)) ?? dns.get('*') ?? [];
  return found.length > 0 ? Promise.resolve(found) : Promise.reject(new Error(`${name} has no address in this world`));
}

function addressesOf(
  flags: readonly string[] | undefined,
  file: Readonly<Record<string, unknown>>,
  path: string | undefined,
): () => Promise<OwnAddresses> {
  if (flags !== undefined) return () => Promise.resolve({ first: flags[0], all: flags });
  if (path === undefined) return ownAddresses;
  const first = textOf(file.myIp, 'myIp');
  const all = file.myIpEx === undefined ? (first === undefined ? [] : [first]) : listOf(file.myIpEx, 'myIpEx');
  return () => Promise.resolve({ first: first ?? (file.myIp === null ? undefined : all[0]), all });
}
