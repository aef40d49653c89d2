import { decodeText } from '../../files/decode-text.ts';
import { readFileBounded } from '../../files/read-file.ts';
import { nameToResolve } from '../../pac/engine/literals.ts';
import { type LocalAddresses, localAddresses } from '../../pac/engine/local-addresses.ts';
import { isTimeZone } from '../../pac/engine/time-zone.ts';
import { quoted, redact } from '../../util/redact.ts';
import type { Call } from '../command.ts';
import { logLine, UsageError } from '../print.ts';

/** What a script sees of the world, as far as it is pinned. */
export interface World {
  readonly wallMs: number | undefined;
  readonly zone: string | undefined;
  /** Passed to the script instead of the URL's. */
  readonly host: string | undefined;
  /** Absent: real DNS is asked. */
  readonly resolve: ((name: string) => Promise<readonly string[]>) | undefined;
  readonly localAddresses: () => Promise<LocalAddresses>;
}

/** A description of a test, not a dump of a DNS zone. */
const READ_TERMS = { bytesMax: 1024 * 1024, pipes: 'wait' } as const;

const KEYS = ['now', 'tz', 'myIp', 'myIpEx', 'dns', 'host'];

/** From the flags, and from `--world` for what they leave open. Throws UsageError. */
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
    localAddresses: addressesOf(options.get('my-ip'), file, path),
  };
}

function readWorld(path: string): Readonly<Record<string, unknown>> {
  let world: unknown;
  try {
    world = JSON.parse(decodeText(readFileBounded(path, READ_TERMS)).text);
  } catch (error) {
    throw new UsageError(`--world ${redact(path)}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!isObject(world)) throw new UsageError(`--world ${redact(path)}: holds no JSON object`);
  for (const key of Object.keys(world))
    if (!KEYS.includes(key)) logLine(`viaduct: ${path}: ${key} is not known, and not used`);
  return world;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function textOf(value: unknown, key: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  throw new UsageError(`--world: ${key} is not a text`);
}

function parseNow(text: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms))
    throw new UsageError(`${quoted(text)} is not a valid time; write for example 2026-03-29T08:30:00Z`);
  return ms;
}

function checkedZone(name: string): string {
  if (isTimeZone(name)) return name;
  throw new UsageError(`${quoted(name)} is not a valid time zone; write for example Europe/Berlin`);
}

const keyOf = (name: string): string => nameToResolve(name)?.replace(/\.$/, '') ?? name;

function dnsOf(dns: unknown): [name: string, addresses: readonly string[]][] {
  if (dns === undefined || dns === null) return [];
  if (!isObject(dns)) throw new UsageError('--world: dns is not an object of names');
  return Object.entries(dns).map(([name, addresses]) => [keyOf(name), listOf(addresses, 'dns')]);
}

/** One address, a list of them, or `null` for none. */
function listOf(value: unknown, key: string): readonly string[] {
  const list: unknown[] = Array.isArray(value) ? value : value === null ? [] : [value];
  return list.map((one) => textOf(one, key) ?? '').filter((one) => one !== '');
}

function dnsFlag(text: string): [name: string, addresses: readonly string[]] {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError(`--dns takes NAME=IP|IP, not ${quoted(text)}`);
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
): () => Promise<LocalAddresses> {
  if (flags !== undefined) return () => Promise.resolve({ first: flags[0], all: flags });
  if (path === undefined) return localAddresses;
  const first = textOf(file.myIp, 'myIp');
  const all = file.myIpEx === undefined ? (first === undefined ? [] : [first]) : listOf(file.myIpEx, 'myIpEx');
  return () => Promise.resolve({ first: first ?? (file.myIp === null ? undefined : all[0]), all });
}
