import { exceptions, hostAndPort } from './notation.ts';
import { NO_SETTING, type SystemSetting } from './setting.ts';
import type { SystemWorld } from './world.ts';

const SOURCE = 'macOS';

/** The settings of the current network service. */
export async function macosSetting(world: SystemWorld): Promise<SystemSetting> {
  const output = await world.run('/usr/sbin/scutil', ['--proxy']);
  return output === undefined ? NO_SETTING : parseScutil(output);
}

/** Exported for its test: what `scutil --proxy` prints. */
export function parseScutil(output: string): SystemSetting {
  const { values, lists } = outermost(output);
  const isOn = (name: string) => values.get(name) === '1';
  const wpad = isOn('ProxyAutoDiscoveryEnable') ? 'wanted' : 'unmentioned';
  const url = values.get('ProxyAutoConfigURLString');
  if (isOn('ProxyAutoConfigEnable') && url) return { kind: 'pac', url, source: SOURCE, wpad };
  const proxy = (name: string, scheme: string) =>
    isOn(`${name}Enable`) ? hostAndPort(values.get(`${name}Proxy`), values.get(`${name}Port`), scheme) : undefined;
  const socks = proxy('SOCKS', 'socks5');
  const http = proxy('HTTP', 'http') ?? socks;
  const https = proxy('HTTPS', 'http') ?? socks;
  if (http === undefined && https === undefined) return { kind: 'none', wpad };
  const plain = isOn('ExcludeSimpleHostnames') ? ['<local>'] : [];
  const noProxy = [...exceptions(lists.get('ExceptionsList') ?? []), ...plain];
  return { kind: 'proxies', proxies: { source: SOURCE, http, https, noProxy }, wpad };
}

/** Values and lists of the outermost dictionary; settings of single interfaces are nested deeper and are skipped. */
function outermost(output: string) {
  const values = new Map<string, string>();
  const lists = new Map<string, string[]>();
  const open: string[] = [];
  for (const line of output.split('\n')) {
    const [, key = '', value = ''] = /^\s*(\S+) : (.*?)\s*$/.exec(line) ?? [];
    if (/\{\s*$/.test(line)) open.push(key);
    else if (/^\s*\}\s*$/.test(line)) open.pop();
    else if (open.length === 1) values.set(key, value);
    else if (open.length === 2) lists.set(open[1] ?? '', [...(lists.get(open[1] ?? '') ?? []), value]);
  }
  return { values, lists };
}
