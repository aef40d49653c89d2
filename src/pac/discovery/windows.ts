import { exceptions, proxyText } from './notation.ts';
import type { SystemSetting } from './setting.ts';
import { type Connection, connectionIn } from './windows-connection.ts';
import type { SystemWorld } from './world.ts';

const SETTINGS = 'Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings';
const POLICIES = 'Software\\Policies\\Microsoft\\Windows\\CurrentVersion\\Internet Settings';

/** The registry keys that are read. */
const KEYS = {
  policies: `HKLM\\${POLICIES}`,
  user: `HKCU\\${SETTINGS}`,
  userConnections: `HKCU\\${SETTINGS}\\Connections`,
  machine: `HKLM\\${SETTINGS}`,
  machineConnections: `HKLM\\${SETTINGS}\\Connections`,
} as const;

/** Those that hold settings; each may be made later. */
export const SETTING_KEYS: readonly string[] = Object.values(KEYS);

/** Values of a registry key, by their names in lower case. */
type Values = ReadonlyMap<string, string>;
type InternetSettings = Readonly<Record<keyof typeof KEYS, Values>>;

/** The setting of the user, or of the administrator for all users. */
export async function windowsSetting(world: SystemWorld): Promise<SystemSetting> {
  const reg = `${world.environment.SystemRoot ?? 'C:\\Windows'}\\System32\\reg.exe`;
  const key = async (name: string) => parseRegistry((await world.run(reg, ['query', name])) ?? '');
  const [policies, user, userConnections, machine, machineConnections] = await Promise.all([
    key(KEYS.policies),
    key(KEYS.user),
    key(KEYS.userConnections),
    key(KEYS.machine),
    key(KEYS.machineConnections),
  ]);
  return settingOf({ policies, user, userConnections, machine, machineConnections });
}

/** Exported for its test: what `reg query` prints. */
export function parseRegistry(output: string): Values {
  const lines = output.split(/\r?\n/).map((line) => /^ {4}(.+?) {4}REG_\w+(?: {4}(.*))?$/.exec(line));
  return new Map(lines.flatMap((found) => (found ? [[(found[1] ?? '').toLowerCase(), (found[2] ?? '').trim()]] : [])));
}

/**
 * Exported for its test. What programs of this user follow (WinINET); where that is nothing, what services of the machine
 * follow (WinHTTP): a proxy that runs as one of them has no settings of a user.
 */
export function settingOf(settings: InternetSettings): SystemSetting {
  const { policies, user, userConnections, machine, machineConnections } = settings;
  // With the policy ProxySettingsPerUser = 0 the settings of the machine apply instead of the user's.
  const isPerMachine = numberOf(policies.get('proxysettingsperuser')) === 0;
  const own = connectionIn((isPerMachine ? machineConnections : userConnections).get('defaultconnectionsettings'));
  const wpad = !isPerMachine && own?.detects === true ? 'wanted' : 'unmentioned';
  const values = isPerMachine ? machine : user;
  const url = policies.get('autoconfigurl') || values.get('autoconfigurl');
  if (url) return { kind: 'pac', url, source: 'Windows', wpad };
  if (numberOf(values.get('proxyenable')) === 1) {
    return byServers(values.get('proxyserver') ?? '', values.get('proxyoverride') ?? '', 'Windows', wpad);
  }
  // Administrators set the machine by this value alone, without those beside it that WinINET derives for a user.
  const forMachine = isPerMachine && own !== undefined ? byConnection(own, 'Windows', wpad) : NOTHING;
  if (forMachine.kind !== 'none') return forMachine;
  const services = connectionIn(machineConnections.get('winhttpsettings'));
  return services === undefined ? { kind: 'none', wpad } : byConnection(services, 'WinHTTP', wpad);
}

const NOTHING: SystemSetting = { kind: 'none', wpad: 'unmentioned' };

function byConnection(
  { url, servers, except }: Connection,
  source: string,
  wpad: SystemSetting['wpad'],
): SystemSetting {
  return url === '' ? byServers(servers, except, source, wpad) : { kind: 'pac', url, source, wpad };
}

function byServers(servers: string, except: string, source: string, wpad: SystemSetting['wpad']): SystemSetting {
  const { http, https } = serversOf(servers);
  if (http === undefined && https === undefined) return { kind: 'none', wpad };
  return { kind: 'proxies', proxies: { source, http, https, noProxy: exceptions(except.split(/[;\s]+/)) }, wpad };
}

/** `host:port` for all schemes, or a list by scheme, in which `socks=` means SOCKS4. */
function serversOf(text: string): { http: string | undefined; https: string | undefined } {
  const entries = text.split(/[;\s]+/).map((entry) => /^(?:(\w+)=)?(.*)$/.exec(entry));
  const named = (scheme: string | undefined) => entries.find((entry) => entry?.[1]?.toLowerCase() === scheme)?.[2];
  const all = proxyText(named(undefined)) ?? proxyText(named('socks'), 'socks4');
  return { http: proxyText(named('http')) ?? all, https: proxyText(named('https')) ?? all };
}

const numberOf = (text: string | undefined): number => (text === undefined ? Number.NaN : Number(text));
