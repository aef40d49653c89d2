import { join } from 'node:path';
import { NPMRC } from '../formats/lines.ts';
import type { Setting, Tool } from '../tool.ts';
import { LOCAL } from './paths.ts';

export const npm: Tool = {
  name: 'npm',
  title: 'npm',
  scope: 'user',
  when: 'found',
  takesPac: false,
  isFound: (machine) => machine.hasCommand('npm'),
  settings({ environment, home }, { proxy, caFile }) {
    const path = environment.npm_config_userconfig || environment.NPM_CONFIG_USERCONFIG || join(home, '.npmrc');
    const set = (name: string, value: string, existing: 'keep' | 'replace' = 'replace'): Setting => {
      return { kind: 'file', path, format: NPMRC, key: [name], value, existing };
    };
    return [
      set('proxy', proxy.url),
      set('https-proxy', proxy.url),
      set('noproxy', LOCAL, 'keep'),
      ...(caFile === undefined ? [] : [set('cafile', caFile)]),
    ];
  },
  probe: () => ['npm', 'view', '--fetch-retries', '0', 'npm', 'version'],
  page: {
    place: '`~/.npmrc`',
    value: '`proxy`, `https-proxy`, and `noproxy` where there is none; with `--ca` `cafile`',
    trap: 'An `.npmrc` of a project wins over it. `cafile` takes the place of the roots of Node',
    source: 'https://docs.npmjs.com/cli/using-npm/config#proxy',
    proof: 'tried',
  },
};
