import { exceptions, proxyText } from './notation.ts';
import { NO_SETTING, type SystemSetting } from './setting.ts';
import type { SystemWorld } from './world.ts';

const SOURCE = 'Windows';
const SETTINGS = 'Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings';
const POLICIES = 'Software\\Policies\\Microsoft\\Windows\\CurrentVersion\\Internet Settings';

/** Values of a registry key, by their names in lower case. */
type Values = ReadonlyMap<string, string>;

/** The registry keys that are read. */
interface InternetSettings {
  readonly policies: Values;
  readonly user: Values;
  readonly connections: Values;
  readonly machine: Values;
}

/** The setting of the user, or of the administrator for all users. */
export async function windowsSetting(world: SystemWorld): Promise<SystemSetting> {
  const reg = `${world.environment.SystemRoot ?? 'C:\\Windows'}\\System32\\reg.exe`;
  const key = async (name: string) => parseRegistry((await world.run(reg, ['query', name])) ?? '');
  const [policies, user, connections, machine] = await Promise.all([
    key(`HKLM\\${POLICIES}`),
    key(`HKCU\\${SETTINGS}`),
    key(`HKCU\\${SETTINGS}\\Connections`),
    key(`HKLM\\${SETTINGS}`),
  ]);
  return settingOf({ policies, user, connections, machine });
}

/** Exported for its test: what `reg query` prints. */
export function parseRegistry(output: string): Values {
  const lines = output.split(/\r?\n/).map((line) => /^ {4}(.+?) {4}REG_\w+(?: {4}(.*))?$/.exec(line));
  return new Map(lines.flatMap((found) => (found ? [[(found[1] ?? '').toLowerCase(), (found[2] ?? '').trim()]] : [])));
}

/** Exported for its test. */
export function settingOf({ policies, user, connections, machine }: InternetSettings): SystemSetting {
  // With the policy ProxySettingsPerUser = 0 the settings of the machine apply instead of the user's.
  const values = numberOf(policies.get('proxysettingsperuser')) === 0 ? machine : user;
  const wpad = values === user && asksForDetection(connections) ? 'wanted' : 'unmentioned';
  const url = policies.get('autoconfigurl') || values.get('autoconfigurl');
  if (url) return { kind: 'pac', url, source: SOURCE, wpad };
  if (numberOf(values.get('proxyenable')) !== 1) return { ...NO_SETTING, wpad };
  const { http, https } = serversOf(values.get('proxyserver') ?? '');
  if (http === undefined && https === undefined) return { kind: 'none', wpad };
  const noProxy = exceptions((values.get('proxyoverride') ?? '').split(/[;\s]+/));
  return { kind: 'proxies', proxies: { source: SOURCE, http, https, noProxy }, wpad };
}

/** `host:port` for all schemes, or a list by scheme, in which `socks=` means SOCKS4. */
function serversOf(text: string): { http: string | undefined; https: string | undefined } {
  const entries = text.split(/[;\s]+/).map((entry) => /^(?:(\w+)=)?(.*)$/.exec(entry));
  const named = (scheme: string | undefined) => entries.find((entry) => entry?.[1]?.toLowerCase() === scheme)?.[2];
  const all = proxyText(named(undefined)) ?? proxyText(named('socks'), 'socks4');
  return { http: proxyText(named('http')) ?? all, https: proxyText(named('https')) ?? all };
}

/** "Automatically detect settings" is a bit of the ninth byte, and nowhere else. */
function asksForDetection(connections: Values): boolean {
  const flags = Number.parseInt((connections.get('defaultconnectionsettings') ?? '').slice(16, 18), 16);
  return (flags & 0x08) !== 0;
}

const numberOf = (text: string | undefined): number => (text === undefined ? Number.NaN : Number(text));
