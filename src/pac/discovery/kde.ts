import { join } from 'node:path';
import { exceptions, proxyText } from './notation.ts';
import { NO_SETTING, type SystemSetting } from './setting.ts';
import type { SystemWorld } from './world.ts';

const SOURCE = 'KDE';

export async function kdeSetting(world: SystemWorld): Promise<SystemSetting> {
  const { environment, homeFolder } = world;
  if (!/(?:^|:)KDE(?::|$)/i.test(environment.XDG_CURRENT_DESKTOP ?? '')) return NO_SETTING;
  const own = environment.XDG_CONFIG_HOME || join(homeFolder, '.config');
  // The user's file overrides the system's.
  const shared = (environment.XDG_CONFIG_DIRS || '/etc/xdg').split(':').slice(0, 4).reverse();
  const files = await Promise.all([...shared, own].map((folder) => world.read(join(folder, 'kioslaverc'))));
  return parseKioslaverc(files.map((file) => file?.text ?? '').join('\n'));
}

/** Exported for its test: the text of `kioslaverc`. */
export function parseKioslaverc(text: string): SystemSetting {
  const values = new Map<string, string>();
  let group = '';
  for (const line of text.split(/\r?\n/)) {
    const [, name] = /^\s*\[(.*)\]\s*$/.exec(line) ?? [];
    // `[$e]` behind a key: the value may name variables of the environment.
    const [, key, value = ''] = /^\s*([^=[]+?)(?:\[[^\]]*\])*\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (name !== undefined) group = name;
    else if (key !== undefined && group === 'Proxy Settings') values.set(key, value);
  }
  switch (values.get('ProxyType')) {
    case '1':
      return manual(values);
    case '2': {
      const url = values.get('Proxy Config Script') ?? '';
      return url === '' ? NO_SETTING : { kind: 'pac', url, source: SOURCE, wpad: 'unmentioned' };
    }
    case '3':
      return { kind: 'none', wpad: 'wanted' };
    default:
      // Among them 4, "use the environment", which is read next in any case.
      return NO_SETTING;
  }
}

function manual(values: ReadonlyMap<string, string>): SystemSetting {
  // "Use the proxy only for these hosts" cannot be expressed as a list of exceptions.
  if (values.get('ReversedException') === 'true') return NO_SETTING;
  // A space stands before the port, where other programs have a colon.
  const proxy = (key: string, scheme: string) => proxyText(values.get(key)?.replace(/ +(\d+)$/, ':$1'), scheme);
  const socks = proxy('socksProxy', 'socks5');
  const http = proxy('httpProxy', 'http') ?? socks;
  const https = proxy('httpsProxy', 'http') ?? socks;
  if (http === undefined && https === undefined) return NO_SETTING;
  const noProxy = exceptions((values.get('NoProxyFor') ?? '').split(/[\s,]+/));
  return { kind: 'proxies', proxies: { source: SOURCE, http, https, noProxy }, wpad: 'unmentioned' };
}
