import { exceptions, hostAndPort } from './notation.ts';
import { NO_SETTING, type SystemSetting } from './setting.ts';
import type { SystemWorld } from './world.ts';

const SOURCE = 'GNOME';

/** Desktops that store their proxies where GNOME does. */
const DESKTOPS = /(?:^|:)(?:GNOME|Unity|X-Cinnamon|Cinnamon|Budgie|MATE|Pantheon|Deepin|UKUI)(?::|$)/i;

/**
 * Read only in a session of such a desktop whose D-Bus runs already: elsewhere the settings are the distribution's
 * defaults, and `gsettings` may start a bus that is never ended.
 */
export async function gnomeSetting(world: SystemWorld): Promise<SystemSetting> {
  if (!DESKTOPS.test(world.environment.XDG_CURRENT_DESKTOP ?? '') || !(await hasBus(world))) return NO_SETTING;
  const output = await world.run('gsettings', ['list-recursively', 'org.gnome.system.proxy']);
  return output === undefined ? NO_SETTING : parseGsettings(output);
}

async function hasBus({ environment, list }: SystemWorld): Promise<boolean> {
  // With an address the client connects to that bus or fails; only without one it may launch a bus.
  if (/^unix:/.test(environment.DBUS_SESSION_BUS_ADDRESS ?? '')) return true;
  const { DBUS_SESSION_BUS_ADDRESS: named = '', XDG_RUNTIME_DIR: folder = '' } = environment;
  return named === '' && folder !== '' && (await list(folder)).includes('bus');
}

/** Exported for its test: what `gsettings list-recursively org.gnome.system.proxy` prints. */
export function parseGsettings(output: string): SystemSetting {
  const values = new Map<string, string>();
  for (const line of output.split('\n')) {
    const [, part = '', key = '', value = ''] = /^org\.gnome\.system\.proxy(\.\w+)? (\S+) (.*)$/.exec(line) ?? [];
    if (key !== '') values.set(`${part.slice(1)} ${key}`.trim(), value);
  }
  const text = (name: string) => stringsIn(values.get(name) ?? '')[0] ?? '';
  const mode = text('mode');
  if (mode === 'auto') {
    const url = text('autoconfig-url');
    return url === '' ? { kind: 'none', wpad: 'wanted' } : { kind: 'pac', url, source: SOURCE, wpad: 'unmentioned' };
  }
  if (mode !== 'manual') return NO_SETTING;
  const proxy = (name: string, scheme: string) => hostAndPort(text(`${name} host`), values.get(`${name} port`), scheme);
  const socks = proxy('socks', 'socks5');
  const hasLogin = values.get('http use-authentication') === 'true';
  const account = ['user', 'password'].map((part) => encodeURIComponent(text(`http authentication-${part}`)));
  const login = hasLogin ? `${account.join(':')}@` : '';
  const http = proxy('http', 'http')?.replace('://', () => `://${login}`) ?? socks;
  const https = proxy('https', 'http') ?? socks;
  if (http === undefined && https === undefined) return NO_SETTING;
  const noProxy = exceptions(stringsIn(values.get('ignore-hosts') ?? ''));
  return { kind: 'proxies', proxies: { source: SOURCE, http, https, noProxy }, wpad: 'unmentioned' };
}

/** The strings of a value in GVariant's text form: in single quotes, or in double quotes where they hold a single quote. */
const stringsIn = (value: string): string[] =>
  [...value.matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/g)].map(([, single, double]) =>
    (single ?? double ?? '').replace(/\\(.)/g, '$1'),
  );
