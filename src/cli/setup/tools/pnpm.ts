import { join } from 'node:path';
import { jsonText } from '../formats/json.ts';
import { NPMRC } from '../formats/lines.ts';
import { YAML } from '../formats/yaml.ts';
import type { Machine } from '../machine.ts';
import type { Setting, Tool } from '../tool.ts';

export const pnpm: Tool = {
  name: 'pnpm',
  title: 'pnpm',
  scope: 'user',
  when: 'found',
  takesPac: false,
  isFound: (machine) => machine.hasCommand('pnpm'),
  settings(machine, { proxy }) {
    const folder = configFolder(machine);
    const yaml = (name: string): Setting => {
      const path = join(folder, 'config.yaml');
      return { kind: 'file', path, format: YAML, key: [name], value: jsonText(proxy.url) };
    };
    const rc = (name: string): Setting => {
      return { kind: 'file', path: join(folder, 'rc'), format: NPMRC, key: [name], value: proxy.url };
    };
    return [yaml('httpProxy'), yaml('httpsProxy'), rc('proxy'), rc('https-proxy')];
  },
  probe: () => ['pnpm', 'view', '--config.fetch-retries=0', 'pnpm', 'version'],
  page: {
    place: '`~/.config/pnpm/config.yaml` (pnpm 11 and later) and `~/.config/pnpm/rc` (before)',
    value: '`httpProxy`, `httpsProxy`; `proxy`, `https-proxy`',
    trap: 'The variable `HTTPS_PROXY` wins over it',
    source: 'https://pnpm.io/settings#httpsproxy',
    proof: 'tried',
  },
};

function configFolder({ platform, environment, home, configHome }: Machine): string {
  if (environment.XDG_CONFIG_HOME) return join(environment.XDG_CONFIG_HOME, 'pnpm');
  if (platform === 'darwin') return join(home, 'Library', 'Preferences', 'pnpm');
  if (platform === 'win32') return join(environment.LOCALAPPDATA || join(home, 'AppData', 'Local'), 'pnpm', 'config');
  return join(configHome, 'pnpm');
}
