import { join } from 'node:path';
import type { SystemWorld, TextFile } from './world.ts';

/** Where DHCP clients store their leases; many are readable for root only, and are then skipped. */
const LEASE_LOCATIONS: readonly LeaseLocation[] = [
  { folder: '/run/systemd/netif/leases', name: /^\d+$/, form: 'networkd' },
  { folder: '/var/lib/NetworkManager', name: /^internal-.*\.lease$/, form: 'networkd' },
  { folder: '/var/lib/NetworkManager', name: /^dhclient-.*\.lease$/, form: 'dhclient' },
  { folder: '/var/lib/dhcp', name: /^dhclient.*\.leases?$/, form: 'dhclient' },
  { folder: '/var/lib/dhclient', name: /^dhclient.*\.leases?$/, form: 'dhclient' },
];
interface LeaseLocation {
  readonly folder: string;
  readonly name: RegExp;
  readonly form: 'networkd' | 'dhclient';
}

/** The URLs in DHCP option 252, "Web Proxy Auto-Discovery", of leases that are valid at `wallMs`. */
export async function leasedUrls(world: SystemWorld, wallMs: number): Promise<string[]> {
  const found = await Promise.all(LEASE_LOCATIONS.map((location) => urlsIn(location, world, wallMs)));
  return [...new Set(found.flat())];
}

async function urlsIn({ folder, name, form }: LeaseLocation, world: SystemWorld, wallMs: number): Promise<string[]> {
  const names = (await world.list(folder)).filter((one) => name.test(one));
  const files = await Promise.all(names.map((one) => world.read(join(folder, one))));
  const read = form === 'networkd' ? networkdOption : dhclientOption;
  return files.flatMap((file) => (file && webAddress(read(file, wallMs))) ?? []);
}

/** Some servers count the zero byte or a line break as part of the text. */
function webAddress(value: string | undefined): string | undefined {
  const url = (value ?? '').replace(/[\0\s]+$/, '');
  return /^https?:\/\//i.test(url) && URL.canParse(url) ? url : undefined;
}

/** Exported for its test: `KEY=value` lines, options of private use as hexadecimal digits. */
export function networkdOption({ text, modifiedMs }: TextFile, wallMs: number): string | undefined {
  const value = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1];
  // The file is rewritten whenever the lease is renewed.
  const lifetimeMs = Number(value('LIFETIME') ?? Number.POSITIVE_INFINITY) * 1000;
  const hex = value('OPTION_252') ?? '';
  return hex === '' || modifiedMs + lifetimeMs < wallMs ? undefined : Buffer.from(hex, 'hex').toString('latin1');
}

/** Names of the option in `dhclient.conf`; without a definition there it is `unknown-252`. */
const OPTION = /^\s*option (?:[\w-]*wpad[\w-]*|[\w-]*proxy-auto[\w-]*|unknown-252|option-252)\s+(.*?);\s*$/m;

/** Exported for its test: one `lease { … }` behind the other, the newest last. */
export function dhclientOption({ text }: TextFile, wallMs: number): string | undefined {
  const lease = text.slice(text.lastIndexOf('lease {'));
  const [, date] = /^\s*expire \d (\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d);/m.exec(lease) ?? [];
  const [, epoch] = /^\s*expire epoch (\d+);/m.exec(lease) ?? [];
  const untilMs = date ? Date.parse(`${date.replaceAll('/', '-').replace(' ', 'T')}Z`) : Number(epoch ?? 'NaN') * 1000;
  if (untilMs < wallMs) return undefined;
  const value = OPTION.exec(lease)?.[1];
  if (value === undefined) return undefined;
  const [, text252] = /^"(.*)"$/.exec(value) ?? [];
  if (text252 !== undefined)
    return text252.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
  return /^[0-9a-f]{1,2}(?::[0-9a-f]{1,2})*$/i.test(value)
    ? String.fromCharCode(...value.split(':').map((byte) => Number.parseInt(byte, 16)))
    : undefined;
}
