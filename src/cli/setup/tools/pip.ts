import { join } from 'node:path';
import { INI } from '../formats/lines.ts';
import type { Setting, Tool } from '../tool.ts';

export const pip: Tool = {
  name: 'pip',
  title: 'pip',
  scope: 'user',
  when: 'found',
  takesPac: false,
  isFound: ({ hasCommand }) => hasCommand('pip') || hasCommand('pip3'),
  settings({ platform, environment, home, configHome, exists }, { proxy, caFile }) {
    const mac = join(home, 'Library', 'Application Support', 'pip');
    const unix = platform === 'darwin' && exists(mac) ? mac : join(configHome, 'pip');
    const path =
      platform === 'win32'
        ? join(environment.APPDATA || join(home, 'AppData', 'Roaming'), 'pip', 'pip.ini')
        : join(unix, 'pip.conf');
    const set = (name: string, value: string): Setting => {
      return { kind: 'file', path, format: INI, key: ['global', name], value };
    };
    return [set('proxy', proxy.url), ...(caFile === undefined ? [] : [set('cert', caFile)])];
  },
  probe: () => ['pip3', 'index', '--disable-pip-version-check', '--retries', '0', 'versions', 'pip'],
  page: {
    place: '`~/.config/pip/pip.conf` (Windows: `%APPDATA%\\pip\\pip.ini`), `[global]`',
    value: '`proxy`; with `--ca` `cert`',
    trap: 'A `pip.conf` of a virtual environment wins over it. An index on this machine is asked through the proxy too',
    source: 'https://pip.pypa.io/en/stable/user_guide/#using-a-proxy-server',
    proof: 'tried',
  },
};
